#pragma once
#include "kernels/cpu/common/groups.h"
#include "kernels/cpu/common/tile.h"
#include "kernels/cpu/common/unpack.h"

// Codes under groups that run down columns: every column has its own scales and zeros, 16 each, which panels `period` apart
// share. A tile takes several of these. Here on f32 inputs: one fma a weight, K in order, each weight by the layout's own
// formula.
namespace gale::GALE_ISA {

// Codes as numbers, a lane each. kColumns of a panel are kVectors; code<I>(vectors) is column I of those.
template <int Bits>
struct LaneCodes {
  static constexpr int kColumns = 32 / Bits, kVectors = 1;
  template <int I>
  static i32x16 code(const i32x16 (&v)[kVectors]) {
    constexpr int kAt = I % 4 * 8 + I / 4 * Bits, kMask = (1 << Bits) - 1;
    if constexpr (kAt == 0) return iand(v[0], kMask);
    if constexpr (kAt > 0) return iand(ishr<kAt>(v[0]), kMask);
  }
};
template <>
struct LaneCodes<3> {
  static constexpr int kColumns = 32, kVectors = 3;
  template <int I>
  static i32x16 code(const i32x16 (&v)[kVectors]) {
    constexpr int kHigh = I % 4 * 8 + I / 4 - 2;  // where bit 2 goes down to its place, or up
    const i32x16 low[1] = {v[I / 16]};
    const i32x16 rest = LaneCodes<2>::code<I % 16>(low);
    if constexpr (kHigh < 0) return iadd(rest, iand(ishl<-kHigh>(v[2]), 4));
    if constexpr (kHigh == 0) return iadd(rest, iand(v[2], 4));
    if constexpr (kHigh > 0) return iadd(rest, iand(ishr<kHigh>(v[2]), 4));
  }
};

// Scales and zeros of a unit, [columns][16] each, as f32: `spare` is where others are spread out.
struct DownNumbers {
  const float *scales, *zeros;
  DownNumbers(const uint8_t* p, ScaleType type, float (&spare)[2 * kDownUnit * 16]) {
    constexpr int64_t kNumbers = kDownUnit * 16;
    const auto* halves = reinterpret_cast<const uint16_t*>(p);
    scales = type == ScaleType::f32 ? reinterpret_cast<const float*>(p) : spare;
    zeros = scales + kNumbers;
    if (type == ScaleType::f16)
      for (int64_t i = 0; i < 2 * kNumbers; i += 16) store(spare + i, load_f16(halves + i));
    if (type == ScaleType::bf16)
      for (int64_t i = 0; i < 2 * kNumbers; i += 16) store(spare + i, load_bf16(halves + i));
  }
};

inline const uint8_t* down_numbers(const MatmulArgs& a, int64_t panel, int64_t unit) {
  const PanelGeometry& at = a.geometry;
  return reinterpret_cast<const uint8_t*>(a.numbers) + (panel % at.period * at.units + unit) * at.unit_numbers;
}

template <int Bits, int P, int N>
void tile_down(const Tile& t) {
  using Codes = LaneCodes<Bits>;
  const PanelGeometry& at = t.a.geometry;
  const uint8_t* unit[P];
  for (int p = 0; p < P; ++p) unit[p] = t.unit(p);
  const uint8_t* numbers = down_numbers(t.a, t.panel, t.unit_begin);
  const float* x[N];
  for (int n = 0; n < N; ++n) x[n] = t.a.x + t.input_row(n) * t.a.columns + t.first_column();
  f32x16 acc[P][N];
  for (int p = 0; p < P; ++p)
    for (int n = 0; n < N; ++n) acc[p][n] = t.begin(n, p);
  for (int64_t u = t.unit_begin; u < t.unit_end; ++u) {
    float spare[2 * kDownUnit * 16];
    const DownNumbers of(numbers, t.a.layout.top, spare);
    for (int p = 0; p < P; ++p) prefetch_weights(unit[p] + t.ahead, at.bytes);
    for (int64_t k = 0; k < kDownUnit; k += Codes::kColumns) {
      i32x16 codes[P][Codes::kVectors];
      for (int p = 0; p < P; ++p)
        for (int i = 0; i < Codes::kVectors; ++i) codes[p][i] = as_lanes(load_bytes(unit[p] + 64 * i));
      for_columns<Codes::kColumns>([&](auto i) __attribute__((always_inline)) {
        constexpr int kI = decltype(i)::value;
        const f32x16 scale = load(of.scales + 16 * (k + kI)), zero = load(of.zeros + 16 * (k + kI));
        f32x16 w[P];
        for (int p = 0; p < P; ++p) w[p] = mul(scale, sub(to_float(Codes::template code<kI>(codes[p])), zero));
        for (int n = 0; n < N; ++n) {
          const f32x16 all = set1(x[n][k + kI]);
          for (int p = 0; p < P; ++p) acc[p][n] = fma(w[p], all, acc[p][n]);
        }
      });
      for (int p = 0; p < P; ++p) unit[p] += 64 * Codes::kVectors;
    }
    numbers += at.unit_numbers;
    for (int n = 0; n < N; ++n) x[n] += kDownUnit;
  }
  for (int p = 0; p < P; ++p)
    for (int n = 0; n < N; ++n) t.end(acc[p][n], n, p);
}

}  // namespace gale::GALE_ISA
