#pragma once
#include "kernels/cpu/common/tile.h"

// Dense panels on f32 inputs: one fma a weight, K in order.
namespace gale::GALE_ISA {

// Vector k of a panel: column k of 16 outputs.
struct LoadF32 {
  static f32x16 at(const uint8_t* p, int64_t k) { return load(reinterpret_cast<const float*>(p) + 16 * k); }
};
struct LoadF16 {
  static f32x16 at(const uint8_t* p, int64_t k) { return load_f16(reinterpret_cast<const uint16_t*>(p) + 16 * k); }
};

// Two columns at a time: bf16 panels hold them as pairs.
struct LoadBf16 {
  static f32x16 at(const uint8_t* p, int64_t k) {
    const i32x16 pairs = as_lanes(load_bytes(p + k / 2 * 64));
    return float_of(k % 2 == 0 ? ishl<16>(pairs) : iand(pairs, int32_t(0xffff0000)));
  }
};

// P panels side by side, which share the loads of x.
template <class Load, int P, int N>
void tile_dense(const Tile& t) {
  const uint8_t* w[P];
  for (int p = 0; p < P; ++p) w[p] = t.unit(p);
  const float* x[N];
  for (int n = 0; n < N; ++n) x[n] = t.a.x + t.input_row(n) * t.a.columns + t.first_column();
  f32x16 acc[P][N];
  for (int p = 0; p < P; ++p)
    for (int n = 0; n < N; ++n) acc[p][n] = t.begin(n, p);
  const int64_t columns = t.columns();
  for (int64_t k = 0; k < columns; ++k)
    for (int p = 0; p < P; ++p) {
      const f32x16 v = Load::at(w[p], k);
      for (int n = 0; n < N; ++n) acc[p][n] = fma(v, set1(x[n][k]), acc[p][n]);
    }
  for (int p = 0; p < P; ++p)
    for (int n = 0; n < N; ++n) t.end(acc[p][n], n, p);
}

template <class Load, int P, int R>
struct DenseTile {
  static constexpr int kRows = R, kPanels = P;
  static constexpr int64_t kInputBytes = 4;
  template <int N>
  static void tile(const Tile& t) {
    tile_dense<Load, P, N>(t);
  }
};
template <int P, int R>
using F32Tile = DenseTile<LoadF32, P, R>;
template <int P, int R>
using F16Tile = DenseTile<LoadF16, P, R>;
template <int P, int R>
using Bf16Tile = DenseTile<LoadBf16, P, R>;

}  // namespace gale::GALE_ISA
