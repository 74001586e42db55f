#include "quant/imatrix.h"

#include <algorithm>
#include <cmath>

#include "base/fail.h"

namespace gale {

std::vector<float> ImportanceMatrix::means(std::string_view name, int64_t i, int64_t columns) const {
  const auto found = entries.find(name);
  if (found == entries.end()) return {};
  const Entry& entry = found->second;
  const auto size = int64_t(entry.sums.size());
  require(size >= columns && size % columns == 0, ErrorCode::invalid_argument,
          "{}: {} has {} values, but the matrix has {} columns: it was made from another model", source, name, size, columns);
  if (i >= size / columns) return {};
  const float count = entry.counts[entry.counts.size() == 1 ? 0 : size_t(i)];
  const auto sums = entry.sums.begin() + i * columns;
  if (count == 0 || std::all_of(sums, sums + columns, [](float x) { return x == 0; })) return {};
  std::vector<float> out(sums, sums + columns);
  for (float& x : out) x /= count;
  return out;
}

}  // namespace gale
