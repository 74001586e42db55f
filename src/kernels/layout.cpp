#include "kernels/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace gale {
namespace {

const char* scale_name(ScaleType type) {
  switch (type) {
    case ScaleType::none:
      return "none";
    case ScaleType::f32:
      return "f32";
    case ScaleType::f16:
      return "f16";
    case ScaleType::bf16:
      return "bf16";
    case ScaleType::e8m0:
      return "e8m0";
    case ScaleType::e4m3:
      return "e4m3";
    case ScaleType::u4:
      return "u4";
    case ScaleType::u6:
      return "u6";
    case ScaleType::i8:
      return "i8";
  }
  return "?";
}

const char* table_name(CodeTable table) {
  switch (table) {
    case CodeTable::none:
      return "u";
    case CodeTable::e2m1:
      return "e2m1";
    case CodeTable::iq1:
      return "iq1";
    case CodeTable::iq2:
      return "iq2";
    case CodeTable::iq3_xxs:
      return "iq3_xxs";
    case CodeTable::iq3_s:
      return "iq3_s";
    case CodeTable::iq4:
      return "iq4";
    case CodeTable::nf4:
      return "nf4";
    case CodeTable::fp4:
      return "fp4";
    case CodeTable::e4m3:
      return "e4m3";
    case CodeTable::e5m2:
      return "e5m2";
  }
  return "?";
}

// Floats of a sign, an exponent and `mantissa` bits, the smallest exponent's without the leading one.
std::array<float, 256> floats_of_8_bits(int mantissa, int bias) {
  std::array<float, 256> out;
  for (int code = 0; code < 256; ++code) {
    const int exponent = (code & 127) >> mantissa, rest = code & ((1 << mantissa) - 1);
    const int whole = exponent == 0 ? rest : rest + (1 << mantissa);
    const float size = std::ldexp(float(whole), (exponent == 0 ? 1 : exponent) - bias - mantissa);
    out[size_t(code)] = code < 128 ? size : -size;
  }
  return out;
}

}  // namespace

const float* table_numbers(CodeTable table) {
  static constexpr float kNf4[16] = {-1.0f,
                                     -0.6961928009986877f,
                                     -0.5250730514526367f,
                                     -0.39491748809814453f,
                                     -0.28444138169288635f,
                                     -0.18477343022823334f,
                                     -0.09105003625154495f,
                                     0.0f,
                                     0.07958029955625534f,
                                     0.16093020141124725f,
                                     0.24611230194568634f,
                                     0.33791524171829224f,
                                     0.44070982933044434f,
                                     0.5626170039176941f,
                                     0.7229568362236023f,
                                     1.0f};
  static constexpr float kFp4[16] = {0.0f,  0.005208333333f,  0.66666667f,  1.0f,  0.33333333f,  0.5f,  0.16666667f,  0.25f,
                                     -0.0f, -0.005208333333f, -0.66666667f, -1.0f, -0.33333333f, -0.5f, -0.16666667f, -0.25f};
  static const std::array<float, 256> e4m3 = floats_of_8_bits(3, 7), e5m2 = floats_of_8_bits(2, 15);
  return table == CodeTable::nf4 ? kNf4 : table == CodeTable::fp4 ? kFp4 : table == CodeTable::e4m3 ? e4m3.data() : e5m2.data();
}

std::string Layout::name() const {
  if (kind == Kind::dense) return dtype_name(dense);
  std::string out = table_name(table);
  if (table == CodeTable::none) out += std::to_string(bits);
  if (kind == Kind::down) out += " down";
  out += fmt::format(" g{}", group);
  if (two_level()) out += fmt::format(" {} b{}", scale_name(sub), block);
  out += fmt::format(" {}{}", divided ? "1/" : "", scale_name(top));
  if (real_zeros) out += " real zeros";
  if (zeros) out += " zeros";
  if (table == CodeTable::none && !has_offset() && !zeros && bias != 1 << (bits - 1)) out += fmt::format(" less {}", bias);
  return minimum ? out + " min" : out;
}

Rounding layout_rounding(const Layout& layout) {
  if (layout.kind == Layout::Kind::dense) return layout.dense == DType::bf16 ? Rounding::bf16 : Rounding::none;
  if (layout.kind == Layout::Kind::down) return Rounding::none;
  if (layout.table == CodeTable::e4m3 || layout.table == CodeTable::e5m2) return Rounding::bf16;
  if (is_number_table(layout.table)) return Rounding::none;
  return layout.two_level() ? Rounding::int8_per_256 : Rounding::int8_per_32;
}

void LogicalGroups::resize(const Layout& layout, const Slice2& s, int64_t period) {
  slice = s;
  const bool grouped = layout.kind != Layout::Kind::dense, down = layout.kind == Layout::Kind::down;
  const size_t count = size_t(s.rows * s.columns);
  const size_t blocks = down      ? size_t(std::clamp<int64_t>(period - s.row, 0, s.rows) * s.columns)
                        : grouped ? count / size_t(layout.block)
                                  : 0;
  const size_t groups = grouped && layout.two_level() ? count / size_t(layout.group) : 0;
  values.resize(grouped ? 0 : count);
  codes.resize(grouped ? count : 0);
  top.resize(blocks);
  top_min.resize(layout.has_offset() ? blocks : 0);
  zero.resize(layout.zeros ? blocks : 0);
  sub.resize(groups);
  sub_min.resize(layout.two_level() && layout.minimum ? groups : 0);
  elements.clear();
}

void LogicalGroups::resize_in_place(const Slice2& s) {
  resize(dense_layout(DType::f32), {s.row, 0, s.column, s.columns});
  slice = s;
  elements.resize(size_t(s.rows));
}

}  // namespace gale
