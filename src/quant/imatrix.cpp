#include "quant/imatrix.h"

#include <algorithm>
#include <cmath>

#include "base/fail.h"

namespace gale {

std::vector<float> ImportanceMatrix::means(std::string_view name, std::optional<int64_t> expert, int64_t columns) const {
  const auto found = entries.find(name);
  if (found == entries.end()) return {};
  const Entry& entry = found->second;
  const auto size = int64_t(entry.sums.size()), counts = int64_t(entry.counts.size()), matrices = size / columns;
  const bool fits = size % columns == 0 && (entry.columns == 0 || entry.columns == columns) &&
                    (counts == 1 || counts == matrices) && (expert ? *expert < matrices : matrices == 1);
  require(fits, ErrorCode::invalid_argument,
          "{}: {} has {} values of {} matrices, but {} columns are wanted{}: it was made from another model", source, name, size,
          entry.columns ? size / entry.columns : counts, columns, expert ? fmt::format(" of matrix {}", *expert) : std::string());
  const int64_t i = expert.value_or(0);
  const float count = entry.counts[counts == 1 ? 0 : size_t(i)];
  const auto sums = entry.sums.begin() + i * columns;
  if (count == 0 || std::all_of(sums, sums + columns, [](float x) { return x == 0; })) return {};
  std::vector<float> out(sums, sums + columns);
  for (float& x : out) x /= count;
  require(std::ranges::all_of(out, [](float x) { return std::isfinite(x); }), ErrorCode::corrupt,
          "{}: the mean of {} is not finite: sums are far too large for a count of {}", source, name, count);
  return out;
}

}  // namespace gale
