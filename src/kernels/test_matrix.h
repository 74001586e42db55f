#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "base/half.h"
#include "base/rng.h"
#include "kernels/matrix.h"

// Random weights for tests, made from logical groups so that no format is needed. Test code only.
namespace gale::testing {

inline std::vector<Layout> all_layouts() {
  const auto grouped = [](uint8_t bits, int16_t group, int16_t block, ScaleType sub, bool minimum, uint8_t bias) {
    return Layout{.kind = Layout::Kind::grouped,
                  .bits = bits,
                  .group = group,
                  .block = block,
                  .top = ScaleType::f16,
                  .sub = sub,
                  .minimum = minimum,
                  .bias = bias};
  };
  const auto with_zeros = [](int16_t group) {
    return Layout{.kind = Layout::Kind::grouped, .bits = 4, .group = group, .block = group, .top = ScaleType::f16, .zeros = true};
  };
  const auto table = [](CodeTable table, uint8_t bits, int16_t group, int16_t block, ScaleType top) {
    return Layout{.kind = Layout::Kind::grouped,
                  .bits = bits,
                  .group = group,
                  .block = block,
                  .top = top,
                  .sub = group == block ? ScaleType::none : ScaleType::i8,
                  .table = table};
  };
  Layout wide = grouped(8, 256, 256, ScaleType::none, false, 128);
  wide.top = ScaleType::f32;
  return {dense_layout(DType::f32),
          dense_layout(DType::f16),
          dense_layout(DType::bf16),
          grouped(8, 32, 32, ScaleType::none, false, 128),
          grouped(4, 32, 32, ScaleType::none, false, 8),
          grouped(4, 32, 256, ScaleType::u6, true, 0),
          grouped(6, 16, 256, ScaleType::i8, false, 32),
          grouped(5, 32, 256, ScaleType::u6, true, 0),
          grouped(5, 32, 32, ScaleType::none, false, 16),
          grouped(4, 32, 32, ScaleType::none, true, 0),
          grouped(5, 32, 32, ScaleType::none, true, 0),
          wide,
          grouped(2, 256, 256, ScaleType::none, false, 1),
          grouped(2, 16, 256, ScaleType::u4, true, 0),
          grouped(3, 16, 256, ScaleType::i8, false, 4),
          table(CodeTable::e2m1, 4, 32, 32, ScaleType::e8m0),
          table(CodeTable::iq4, 4, 32, 32, ScaleType::f16),
          table(CodeTable::iq4, 4, 32, 256, ScaleType::f16),
          table(CodeTable::iq3_s, 4, 32, 256, ScaleType::f32),
          table(CodeTable::iq3_xxs, 4, 32, 256, ScaleType::f32),
          table(CodeTable::iq2, 3, 32, 256, ScaleType::f32),
          table(CodeTable::iq2, 3, 16, 256, ScaleType::f32),
          table(CodeTable::iq1, 3, 32, 256, ScaleType::f32),
          table(CodeTable::iq1, 3, 16, 256, ScaleType::f32),
          with_zeros(32),
          with_zeros(64),
          with_zeros(128),
          with_zeros(256)};
}

inline float round_to(DType type, float x) {
  return type == DType::f16 ? f16_to_f32(f32_to_f16(x)) : type == DType::bf16 ? bf16_to_f32(f32_to_bf16(x)) : x;
}

/// `extreme`: codes and sub-scales only at the ends of their ranges.
inline LogicalGroups random_groups(const Layout& layout, int64_t rows, int64_t columns, uint64_t seed, bool extreme = false) {
  SplitMix64 random{seed};
  LogicalGroups g;
  g.resize(layout, {0, rows, 0, columns});
  const auto code = [&](int64_t count) {
    return extreme ? int64_t(random() % 2) * (count - 1) : int64_t(random() % uint64_t(count));
  };
  for (float& v : g.values) v = round_to(layout.dense, random.uniform() - 0.5f);
  for (uint8_t& c : g.codes) c = uint8_t(code(int64_t(1) << layout.bits));
  for (float& t : g.top)
    t = layout.top == ScaleType::e8m0  ? half_e8m0_to_f32(uint8_t(extreme ? code(141) : 118 + code(8)))
        : layout.top == ScaleType::f32 ? (random.uniform() - 0.5f) * 0.02f
                                       : round_to(DType::f16, (random.uniform() - 0.5f) * 0.02f);
  for (float& t : g.top_min) t = round_to(DType::f16, random.uniform() * 0.02f);
  for (uint8_t& z : g.zero) z = uint8_t(code(17));
  const int64_t subs = layout.sub == ScaleType::u4 ? 16 : 64;
  for (int16_t& s : g.sub) s = int16_t(layout.sub == ScaleType::i8 ? code(256) - 128 : code(subs));
  for (int16_t& s : g.sub_min) s = int16_t(code(subs));
  return g;
}

/// Any order of the columns.
inline StorageRef random_order(int64_t columns, uint64_t seed) {
  SplitMix64 random{seed};
  StorageRef out = heap_storage(size_t(columns) * sizeof(int32_t));
  auto* order = reinterpret_cast<int32_t*>(out->data());
  for (int64_t i = 0; i < columns; ++i) order[i] = int32_t(i);
  for (int64_t i = columns - 1; i > 0; --i) std::swap(order[i], order[int64_t(random() % uint64_t(i + 1))]);
  return out;
}

inline PackedMatrix random_matrix(const Layout& layout, int64_t rows, int64_t columns, uint64_t seed, bool extreme = false) {
  PackedMatrix out = make_packed(layout, rows, columns);
  arrange(random_groups(layout, rows, columns, seed, extreme), out);
  return out;
}

inline std::vector<float> random_values(int64_t n, uint64_t seed, float scale = 1) {
  SplitMix64 random{seed};
  std::vector<float> out(static_cast<size_t>(n));
  for (float& v : out) v = (random.uniform() * 2 - 1) * scale;
  return out;
}

}  // namespace gale::testing
