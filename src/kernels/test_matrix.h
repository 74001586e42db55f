#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "base/checked.h"
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
  const auto numbers = [](CodeTable table, int16_t group) {
    const uint8_t bits = table == CodeTable::e4m3 || table == CodeTable::e5m2 ? 8 : 4;
    return Layout{
        .kind = Layout::Kind::grouped, .bits = bits, .group = group, .block = group, .top = ScaleType::f32, .table = table};
  };
  enum class Form { bias, minimum, real_zeros };
  const auto affine = [](uint8_t bits, int16_t group, ScaleType top, Form form) {
    return Layout{.kind = Layout::Kind::grouped,
                  .bits = bits,
                  .group = group,
                  .block = group,
                  .top = top,
                  .minimum = form == Form::minimum,
                  .bias = uint8_t(form == Form::bias ? 1 << (bits - 1) : 0),
                  .real_zeros = form == Form::real_zeros};
  };
  const auto sixteen = [](int16_t block, bool divided) {
    return Layout{.kind = Layout::Kind::grouped,
                  .bits = 4,
                  .group = 16,
                  .block = block,
                  .top = ScaleType::f32,
                  .sub = ScaleType::e4m3,
                  .table = CodeTable::e2m1,
                  .divided = divided};
  };
  const auto down = [](uint8_t bits, int16_t group, ScaleType top) {
    return Layout{.kind = Layout::Kind::down, .bits = bits, .group = group, .block = group, .top = top, .real_zeros = true};
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
  Layout small_scales = grouped(8, 32, 32, ScaleType::none, false, 128);
  small_scales.top = ScaleType::e4m3;
  return {dense_layout(DType::f32), dense_layout(DType::f16), dense_layout(DType::bf16),
          grouped(8, 32, 32, ScaleType::none, false, 128), grouped(4, 32, 32, ScaleType::none, false, 8),
          grouped(4, 32, 256, ScaleType::u6, true, 0), grouped(6, 16, 256, ScaleType::i8, false, 32),
          grouped(5, 32, 256, ScaleType::u6, true, 0), grouped(5, 32, 32, ScaleType::none, false, 16),
          grouped(4, 32, 32, ScaleType::none, true, 0), grouped(5, 32, 32, ScaleType::none, true, 0), wide,
          grouped(2, 256, 256, ScaleType::none, false, 1), grouped(2, 16, 256, ScaleType::u4, true, 0),
          grouped(3, 16, 256, ScaleType::i8, false, 4), table(CodeTable::e2m1, 4, 32, 32, ScaleType::e8m0),
          table(CodeTable::iq4, 4, 32, 32, ScaleType::f16), table(CodeTable::iq4, 4, 32, 256, ScaleType::f16),
          table(CodeTable::iq3_s, 4, 32, 256, ScaleType::f32), table(CodeTable::iq3_xxs, 4, 32, 256, ScaleType::f32),
          table(CodeTable::iq2, 3, 32, 256, ScaleType::f32), table(CodeTable::iq2, 3, 16, 256, ScaleType::f32),
          table(CodeTable::iq1, 3, 32, 256, ScaleType::f32), table(CodeTable::iq1, 3, 16, 256, ScaleType::f32), with_zeros(32),
          with_zeros(64), with_zeros(128), with_zeros(256),
          // Those that share kernels: every width of group, type of scale and form at least once.
          numbers(CodeTable::e4m3, 32), numbers(CodeTable::e4m3, 128), numbers(CodeTable::e5m2, 256), numbers(CodeTable::nf4, 64),
          numbers(CodeTable::fp4, 32), affine(2, 64, ScaleType::f16, Form::bias),
          affine(2, 32, ScaleType::bf16, Form::real_zeros), affine(3, 128, ScaleType::f16, Form::minimum),
          affine(3, 64, ScaleType::f32, Form::real_zeros), affine(4, 32, ScaleType::bf16, Form::bias),
          affine(4, 64, ScaleType::f16, Form::minimum), affine(4, 128, ScaleType::bf16, Form::real_zeros),
          affine(5, 64, ScaleType::bf16, Form::minimum), affine(6, 128, ScaleType::f16, Form::minimum),
          affine(6, 32, ScaleType::f32, Form::real_zeros), affine(8, 128, ScaleType::f32, Form::bias),
          affine(8, 64, ScaleType::bf16, Form::minimum), affine(8, 128, ScaleType::f16, Form::real_zeros), sixteen(64, false),
          sixteen(128, true), sixteen(256, false), small_scales, down(4, 4, ScaleType::f16), down(2, 8, ScaleType::bf16),
          down(3, 4, ScaleType::f32), down(8, 16, ScaleType::f16)};
}
/// As many rows, or so many more that the layout can have them.
inline int64_t whole_rows(const Layout& layout, int64_t rows) { return round_up(rows, layout.rows_multiple()); }

inline float round_to(DType type, float x) {
  return type == DType::f16 ? f16_to_f32(f32_to_f16(x)) : type == DType::bf16 ? bf16_to_f32(f32_to_bf16(x)) : x;
}
inline DType scale_dtype(ScaleType type) {
  return type == ScaleType::f32 ? DType::f32 : type == ScaleType::bf16 ? DType::bf16 : DType::f16;
}
/// Another code for those of 8-bit floats that are no number.
inline uint8_t number_code(CodeTable table, uint8_t code) {
  if (table == CodeTable::e4m3 && (code & 0x7f) == 0x7f) return code - 1;
  if (table == CodeTable::e5m2 && (code & 0x7c) == 0x7c) return code - 4;
  return code;
}

/// `extreme`: codes and sub-scales only at the ends of their ranges.
inline LogicalGroups random_groups(const Layout& layout, int64_t rows, int64_t columns, uint64_t seed, bool extreme = false) {
  SplitMix64 random{seed};
  LogicalGroups g;
  g.resize(layout, {0, rows, 0, columns}, layout.kind == Layout::Kind::down ? rows / layout.group : 0);
  const auto code = [&](int64_t count) {
    return extreme ? int64_t(random() % 2) * (count - 1) : int64_t(random() % uint64_t(count));
  };
  for (float& v : g.values) v = round_to(layout.dense, random.uniform() - 0.5f);
  for (uint8_t& c : g.codes) c = number_code(layout.table, uint8_t(code(int64_t(1) << layout.bits)));
  const DType scale = scale_dtype(layout.top);
  for (float& t : g.top)
    t = layout.top == ScaleType::e8m0 ? half_e8m0_to_f32(uint8_t(extreme ? code(141) : 118 + code(8)))
                                      : round_to(scale, (random.uniform() - 0.5f) * 0.02f);
  for (float& t : g.top)
    if (layout.top == ScaleType::e4m3) t = table_numbers(CodeTable::e4m3)[code(0x7f) | (random() % 2 ? 0x80 : 0)] / 448;
  for (float& t : g.top)
    if (layout.divided) t = t < 0 ? t - 1 : t + 1;
  for (float& t : g.top_min) t = round_to(scale, random.uniform() * (layout.real_zeros ? float((1 << layout.bits) - 1) : 0.02f));
  for (uint8_t& z : g.zero) z = uint8_t(code(17));
  const int64_t subs = layout.sub == ScaleType::u4 ? 16 : layout.sub == ScaleType::e4m3 ? 127 : 64;
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
