#pragma once
#include "kernels/cpu/common/tile.h"

// Dense bf16 panels on inputs rounded to bf16: the dot of a pair of columns is two fused multiply-adds, the odd column first.
// pairs.h, or the one of a set with an instruction for it, is included before.
namespace gale::GALE_ISA {

template <int P, int N>
void tile_pairs(const Tile& t) {
  const uint16_t* w[P];
  for (int p = 0; p < P; ++p) w[p] = reinterpret_cast<const uint16_t*>(t.unit(p));
  const PairWord* x[N];
  for (int n = 0; n < N; ++n) x[n] = t.a.rounded.row<PairWord>(t.input_row(n)) + t.first_column() / 2;
  f32x16 acc[P][N];
  for (int p = 0; p < P; ++p)
    for (int n = 0; n < N; ++n) acc[p][n] = t.begin(n, p);
  const int64_t pairs = (t.columns() + 1) / 2;
  for (int64_t k = 0; k < pairs; ++k) {
    bf16x32 v[P];
    for (int p = 0; p < P; ++p) {
      prefetch_far(w[p] + 32 * k + t.ahead / 2);
      v[p] = load_pairs(w[p] + 32 * k);
    }
    for (int n = 0; n < N; ++n) {
      const bf16x32 all = spread(x[n] + k);
      for (int p = 0; p < P; ++p) acc[p][n] = dot_pairs(acc[p][n], v[p], all);
    }
  }
  for (int p = 0; p < P; ++p)
    for (int n = 0; n < N; ++n) t.end(acc[p][n], n, p);
}

template <int P, int R>
struct PairsTile {
  static constexpr int kRows = R, kPanels = P;
  static constexpr int64_t kInputBytes = sizeof(PairWord) / 2;
  template <int N>
  static void tile(const Tile& t) {
    tile_pairs<P, N>(t);
  }
};

}  // namespace gale::GALE_ISA
