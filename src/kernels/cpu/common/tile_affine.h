#pragma once
#include "kernels/cpu/common/tile.h"
#include "kernels/cpu/common/unpack.h"

// Grouped codes of any width under scales of any type, with zeros or minimums that are any numbers, on int8 inputs: what the many
// formats of few files share. One instance per width of a code serves groups of every size; tile_grouped.h has those that are
// known when compiled. dots.h, the common one or the set's own, is included before.
namespace gale::GALE_ISA {

// What a group's values have more than scale x (byte - half the range).
template <int Bits>
inline f32x16 centre_of(const Layout& layout, f32x16 scale, f32x16 offset) {
  const f32x16 half = set1(float(1 << (Bits - 1)));
  if (layout.minimum) return fma(scale, half, sub(zero(), offset));
  return mul(scale, sub(half, offset));
}

//   acc += dx x (d x (sum of (bytes - half) x inputs) + centre x sum of inputs)
template <class Codes, int N>
void tile_affine(const Tile& t) {
  const PanelGeometry& at = t.a.geometry;
  const Layout& layout = t.a.layout;
  const RoundedBlock32* x[N];
  for (int n = 0; n < N; ++n) x[n] = t.a.rounded.row<RoundedBlock32>(t.input_row(n)) + t.first_column() / 32;
  const int64_t groups = at.columns / layout.group, blocks = layout.group / 32;
  f32x16 acc[N];
  for (int n = 0; n < N; ++n) acc[n] = t.begin(n);
  const uint8_t* unit = t.unit();
  for (int64_t u = t.unit_begin; u < t.unit_end; ++u, unit += at.bytes) {
    const uint8_t* codes = unit + at.codes;
    prefetch_weights(unit + t.ahead, at.codes);
    for (int64_t g = 0; g < groups; ++g) {
      const Codes how(unit, at, g);
      for (int64_t b = 0; b < blocks; ++b, codes += kBytesOf32<Codes>) {
        i32x16 sum[N];
        dot_group<false>(how, codes, x, t.ahead, sum);
        const f32x16 d = AnyScale::at(unit + at.top, g, layout.top);  // after the dots, which need the registers
        for (int n = 0; n < N; ++n) sum[n] = bits_of(mul(d, to_float(sum[n])));
        if (layout.has_offset()) {
          const f32x16 c = centre_of<Codes::kBits>(layout, d, AnyScale::at(unit + at.top_min, g, layout.top));
          for (int n = 0; n < N; ++n) sum[n] = bits_of(fma(c, set1(float(-x[n]->minus)), float_of(sum[n])));
        }
        for (int n = 0; n < N; ++n) acc[n] = fma(float_of(sum[n]), set1(x[n]->scale), acc[n]);
        for (int n = 0; n < N; ++n) ++x[n];
      }
    }
  }
  for (int n = 0; n < N; ++n) t.end(acc[n], n);
}

// Groups of 16 under e4m3 scales and an f32 one, inputs rounded per 256. The sum of a group is an integer; the scales of groups
// are floats, so an fma a group joins them.
//   acc += dx x sum of (scale x (sum of (bytes - half) x inputs))
template <class Codes, int N>
void tile_sixteen(const Tile& t) {
  const PanelGeometry& at = t.a.geometry;
  const Layout& layout = t.a.layout;
  f32x16 acc[N];
  for (int n = 0; n < N; ++n) acc[n] = t.begin(n);
  const uint8_t* unit = t.unit();
  for (int64_t u = t.unit_begin; u < t.unit_end; ++u, unit += at.bytes) {
    const uint8_t* codes = unit + at.codes;
    prefetch_weights(unit + t.ahead, at.codes);
    for (int64_t k = 0; k < at.columns; k += 16, codes += Codes::kBytes) {
      const int64_t column = u * at.columns + k, group = column % 256 / 16;
      const Codes how(unit, at, k / 16);
      const RoundedBlock256* x[N];
      const int8_t* inputs[N];
      i32x16 sum[N];
      for (int n = 0; n < N; ++n) {
        x[n] = t.a.rounded.row<RoundedBlock256>(t.input_row(n)) + column / 256;
        inputs[n] = x[n]->codes + column % 256;
        sum[n] = ishl<Codes::kBits - 1>(iset1(x[n]->minus16[group]));
      }
      u8x64 w[4];
      prefetch_weights(codes + t.ahead, Codes::kBytes);
      how.template columns16<0>(codes, w);
      dot16<Codes::kBits, N>(sum, w, inputs, 0);
      const f32x16 d =
          e4m3_scale(unit + at.sub, k / 16, AnyScale::at(unit + at.top, k / layout.block, layout.top), layout.divided);
      for (int n = 0; n < N; ++n) acc[n] = fma(mul(d, to_float(sum[n])), set1(x[n]->scale), acc[n]);
    }
  }
  for (int n = 0; n < N; ++n) t.end(acc[n], n);
}

}  // namespace gale::GALE_ISA
