#include "nn/arrangement.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "base/fail.h"
#include "checkpoint/hash.h"
#include "checkpoint/packed_file.h"

namespace gale {
namespace {

// One panel and a part of a second, a whole unit of the widest layout and a part of another. Where groups run down columns, two
// panels whose numbers are their own.
constexpr int64_t kRows = 19, kColumns = 512 + 256;
Slice2 sample_of(const Layout& layout) {
  if (layout.kind == Layout::Kind::down) return {0, 2 * layout.rows_multiple(), 0, 2 * layout.columns_multiple()};
  return {0, kRows, 0, kColumns};
}

}  // namespace

uint64_t arrangement_hash(const Layout& layout) {
  LogicalGroups g;
  const Slice2 sample = sample_of(layout);
  g.resize(layout, sample, sample.rows / std::max<int64_t>(layout.group, 1));
  // Numbers that every type of scale holds: powers of two, and whole ones below 16.
  const auto fill = [](auto& values, auto value) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = value(i * 7 + i / 13);
  };
  const auto power = [](size_t i) { return float(1 << i % 9) / 16; };
  const auto small = [](size_t i) { return int16_t(i % 16); };
  fill(g.values, power);
  fill(g.codes, [&](size_t i) { return uint8_t(i % (size_t(1) << layout.bits)); });
  fill(g.top, power);
  fill(g.top_min, [&](size_t i) { return power(i + 4); });
  fill(g.zero, [&](size_t i) { return uint8_t(small(i)); });
  fill(g.sub, small);
  fill(g.sub_min, [&](size_t i) { return small(i + 5); });
  PackedMatrix out = make_packed(layout, sample.rows, sample.columns);
  arrange(g, out);
  // Layouts may share an arrangement and stand for different values.
  std::vector<float> values(size_t(sample.rows * sample.columns));
  for (int64_t r = 0; r < sample.rows; ++r) unpack_row(out, r, values.data() + r * sample.columns);
  return hash_bytes({out.data->data(), size_t(out.bytes())}) + 31 * hash_bytes(std::as_bytes(std::span(values)));
}

void check_arrangement(const Checkpoint& packed) {
  for (const auto& [name, hash] : packed.packed()->layouts) {
    const Layout* layout = layout_named(name);
    require(layout != nullptr && arrangement_hash(*layout) == hash, ErrorCode::unsupported,
            "{}: its {} matrices are {}; pack the model again with gale quantize --packed", packed.path().string(), name,
            layout == nullptr ? "in a layout that this Gale does not know" : "arranged as another version of Gale did");
  }
}

}  // namespace gale
