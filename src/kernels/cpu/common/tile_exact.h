#pragma once
#include "kernels/cpu/common/tile.h"
#include "kernels/cpu/common/unpack.h"

// Any grouped layout on f32 inputs: one fma a weight, K in order, each weight by the layout's own formula.
namespace gale::GALE_ISA {

// f32 values of 16 columns of a panel, [16 columns][16 lanes], from bytes that stand for `bias` less where nothing else is taken
// off them.
inline void values16(const u8x64 (&w)[4], const Layout& layout, f32x16 scale, f32x16 offset, int32_t bias, float (&out)[256]) {
  const auto value = [&](i32x16 code) {
    if (layout.minimum) return sub(mul(scale, to_float(code)), offset);
    if (layout.real_zeros) return mul(scale, sub(to_float(code), offset));
    return mul(scale, to_float(isub(code, iset1(bias))));
  };
  const auto column = [&](int k, i32x16 shifted) { store(out + 16 * k, value(iand(shifted, 255))); };
  for (int i = 0; i < 4; ++i) {
    const i32x16 lanes4 = as_lanes(w[i]);
    column(4 * i, lanes4);
    column(4 * i + 1, ishr<8>(lanes4));
    column(4 * i + 2, ishr<16>(lanes4));
    column(4 * i + 3, ishr<24>(lanes4));
  }
}

// acc[n] += columns [k + 16 Part, + 16) of the unit x those at x[n].
template <class Codes, class Scale, int Part, int N>
inline void exact_columns16(const Tile& t, const uint8_t* unit, int64_t k, const float* const (&x)[N], f32x16 (&acc)[N]) {
  const Layout& layout = t.a.layout;
  const PanelGeometry& at = t.a.geometry;
  const int64_t first = k + 16 * Part, block = first / layout.block, group = first / layout.group;
  f32x16 scale = Scale::at(unit + at.top, block, layout.top), offset = zero();
  if (layout.sub == ScaleType::e4m3) {
    scale = e4m3_scale(unit + at.sub, group, scale, layout.divided);
  } else if (layout.two_level()) {
    const uint8_t* p = unit + at.sub + group * 16;
    const i32x16 sub = layout.sub == ScaleType::i8 ? load_i8(p) : load_u8(p);
    scale = mul(scale, to_float(layout.sub == ScaleType::u4 ? iand(sub, 15) : sub));
  }
  if (layout.has_offset()) offset = Scale::at(unit + at.top_min, block, layout.top);
  if (layout.minimum && layout.two_level()) {
    const i16x32 pairs = load_u8_pairs(unit + at.sub_min + group / 2 * 32);
    const i32x16 sub = group % 2 == 0 ? even_of(pairs) : odd_of(pairs);
    offset = mul(offset, to_float(layout.sub == ScaleType::u4 ? ishr<4>(sub) : sub));
  }
  u8x64 bytes[4];
  float w[256];
  const Codes how(unit, at, block);
  how.template columns16<Part>(unit + at.codes + k / Codes::kColumns * Codes::kBytes, bytes);
  values16(bytes, layout, scale, offset, 1 << (Codes::kBits - 1), w);
  for (int i = 0; i < 16; ++i)
    for (int n = 0; n < N; ++n) acc[n] = fma(load(w + 16 * i), set1(x[n][first + i]), acc[n]);
}

template <class Codes, class Scale, int N>
void tile_exact(const Tile& t) {
  const PanelGeometry& at = t.a.geometry;
  const float* x[N];
  for (int n = 0; n < N; ++n) x[n] = t.a.x + t.input_row(n) * t.a.columns + t.first_column();
  f32x16 acc[N];
  for (int n = 0; n < N; ++n) acc[n] = t.begin(n);
  const uint8_t* unit = t.unit();
  for (int64_t u = t.unit_begin; u < t.unit_end; ++u, unit += at.bytes) {
    const int64_t left = t.a.columns - u * at.columns, columns = left < at.columns ? left : at.columns;
    for (int64_t k = 0; k < columns; k += Codes::kColumns) {
      exact_columns16<Codes, Scale, 0>(t, unit, k, x, acc);
      if constexpr (Codes::kColumns == 32) exact_columns16<Codes, Scale, 1>(t, unit, k, x, acc);
    }
    for (int n = 0; n < N; ++n) x[n] += at.columns;
  }
  for (int n = 0; n < N; ++n) t.end(acc[n], n);
}

}  // namespace gale::GALE_ISA
