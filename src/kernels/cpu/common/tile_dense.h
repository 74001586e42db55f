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

// P panels side by side: at one row a single chain would wait for its own fma, more panels fill the gap.
template <class Load, int P, int N>
void tile_dense(const Tile& t) {
  const auto at = [&](int p) {
    Tile own = t;
    own.panel += p;
    return own;
  };
  const uint8_t* w[P];
  for (int p = 0; p < P; ++p) w[p] = at(p).unit();
  const float* x[N];
  for (int n = 0; n < N; ++n) x[n] = t.a.x + t.input_row(n) * t.a.columns;
  f32x16 acc[P][N];
  for (int p = 0; p < P; ++p) at(p).begin(acc[p]);
  for (int64_t k = 0; k < t.a.columns; ++k)
    for (int p = 0; p < P; ++p) {
      const f32x16 v = Load::at(w[p], k);
      for (int n = 0; n < N; ++n) acc[p][n] = fma(v, set1(x[n][k]), acc[p][n]);
    }
  for (int p = 0; p < P; ++p) at(p).end(acc[p]);
}

}  // namespace gale::GALE_ISA
