#pragma once
#include "kernels/cpu/common/tile.h"

// Grouped codes on int8 inputs. Inside a block of the inputs all sums are integers, exact in any order; one fma a block joins
// them to the output's chain. dots.h, the common one or the set's own, is included before.
namespace gale::GALE_ISA {

// One scale per group of a multiple of 32 columns, bytes biased by half their range, or a minimum:
//   acc += dx x (d x (sum of bytes x inputs - bias x sum of inputs))
//   acc += dx x (d x sum of bytes x inputs - dmin x sum of inputs)
// For 32 columns x 16 outputs x a row: 8 dots, a multiply and one fma or two on the ports of the dots, so at most 0.8 of their
// peak, 0.73 with minimums.
template <class Codes, class Scale, bool Minimum, int Groups, int Blocks, int N>
void tile_one_level(const Tile& t) {
  const PanelGeometry& at = t.a.geometry;
  const RoundedBlock32* x[N];
  for (int n = 0; n < N; ++n) x[n] = t.a.rounded.row<RoundedBlock32>(t.input_row(n)) + Groups * Blocks * t.unit_begin;
  const int64_t next = t.next * t.a.rounded.stride;
  f32x16 acc[N];
  for (int n = 0; n < N; ++n) acc[n] = t.begin(n);
  const uint8_t* unit = t.unit();
  for (int64_t u = t.unit_begin; u < t.unit_end; ++u, unit += at.bytes) {
    const uint8_t* codes = unit + at.codes;
    prefetch_bytes(unit + t.ahead, at.codes);
    for (int g = 0; g < Groups; ++g) {
      const Codes how(unit, at, g);
      for (int b = 0; b < Blocks; ++b, codes += kBytesOf32<Codes>) {
        i32x16 sum[N];
        for (int n = 0; n < N; ++n) prefetch(reinterpret_cast<const std::byte*>(x[n]) + next);
        dot_group<Minimum>(how, codes, x, t.ahead, sum);
        const f32x16 d = Scale::at(unit + at.top, g);  // after the dots, which need the registers
        if constexpr (Minimum) {
          const f32x16 low = Scale::at(unit + at.top_min, g);
          for (int n = 0; n < N; ++n) {
            const f32x16 block = fma(low, to_float(iset1(x[n]->minus)), mul(d, to_float(sum[n])));
            acc[n] = fma(block, set1(x[n]->scale), acc[n]);
          }
        } else {
          for (int n = 0; n < N; ++n) acc[n] = fma(mul(d, to_float(sum[n])), set1(x[n]->scale), acc[n]);
        }
        for (int n = 0; n < N; ++n) ++x[n];
      }
    }
  }
  for (int n = 0; n < N; ++n) t.end(acc[n], n);
}

// Where the sub-scales and sub-minimums of a unit are, bytes each: there, or here if they share bytes.
template <ScaleType Sub>
struct SubScales {
  const uint8_t *scales, *minimums;
  SubScales(const uint8_t* unit, const PanelGeometry& at) : scales(unit + at.sub), minimums(unit + at.sub_min) {}
};
template <>
struct SubScales<ScaleType::u4> {
  alignas(64) uint8_t scales[256], minimums[256];
  SubScales(const uint8_t* unit, const PanelGeometry& at) {
    for (int i = 0; i < 256; i += 16) {
      const i32x16 both = load_u8(unit + at.sub + i);
      store_u8(scales + i, iand(both, 15));
      store_u8(minimums + i, ishr<4>(both));
    }
  }
};

// Integer sub-scales under one scale per 256. The block stays an exact integer: at most 63 x 31 x 127 x 256 for 5 bits with u6,
// 128 x 127 x 127 x 256 for a table with i8, on the way 255 instead of the 127 of the table: all below 2^31.
//   acc += dx x (d x sum of sub x ((codes - bias) x inputs) - dmin x sum of sub_min x inputs)
// For 256 columns x 16 outputs x a row: 64 dots, 256 / Group multiplies, with minimums 4 16-bit dots, and 2 or 3 float
// operations: at most 0.81 of the dots' peak for groups of 32, 0.78 for 16.
template <class Codes, class Scale, ScaleType Sub, int Group, bool Minimum, int N>
void tile_two_level(const Tile& t) {
  constexpr int kGroups = 256 / Group;
  const PanelGeometry& at = t.a.geometry;
  const RoundedBlock256* x[N];
  for (int n = 0; n < N; ++n) x[n] = t.a.rounded.row<RoundedBlock256>(t.input_row(n)) + t.unit_begin;
  const int64_t next = t.next * t.a.rounded.stride;
  f32x16 acc[N];
  for (int n = 0; n < N; ++n) acc[n] = t.begin(n);
  const uint8_t* unit = t.unit();
  for (int64_t u = t.unit_begin; u < t.unit_end; ++u, unit += at.bytes) {
    const uint8_t* codes = unit + at.codes;
    prefetch_bytes(unit + t.ahead, at.codes);
    const SubScales<Sub> subs(unit, at);
    i32x16 total[N];
    for (int n = 0; n < N; ++n) {
      prefetch_bytes(reinterpret_cast<const std::byte*>(x[n]) + next, int64_t(sizeof(RoundedBlock256)));
      total[n] = izero();
    }
    for (int column = 0; column < 256; column += 32, codes += kBytesOf32<Codes>)
      dot_scaled<Group, Minimum>(Codes(unit, at, column / Group), codes, subs.scales + column / Group * 16, x, column, t.ahead,
                                 total);
    const f32x16 d = Scale::at(unit + at.top, 0);
    f32x16 block[N];
    for (int n = 0; n < N; ++n) block[n] = mul(d, to_float(total[n]));
    if constexpr (Minimum) {
      i32x16 low[N];
      for (int n = 0; n < N; ++n) low[n] = izero();
      for (int g = 0; g < kGroups; g += 2) {
        const i16x32 minimums = load_u8_pairs(subs.minimums + 16 * g);
        for (int n = 0; n < N; ++n) low[n] = dot2(low[n], minimums, (Group == 32 ? x[n]->sums32 : x[n]->sums16) + g);
      }
      const f32x16 minus = sub(zero(), Scale::at(unit + at.top_min, 0));
      for (int n = 0; n < N; ++n) block[n] = fma(minus, to_float(low[n]), block[n]);
    }
    for (int n = 0; n < N; ++n) acc[n] = fma(block[n], set1(x[n]->scale), acc[n]);
    for (int n = 0; n < N; ++n) ++x[n];
  }
  for (int n = 0; n < N; ++n) t.end(acc[n], n);
}

}  // namespace gale::GALE_ISA
