#pragma once
#include "kernels/cpu/common/groups.h"
#include "kernels/cpu/common/tile.h"
#include "kernels/cpu/common/unpack.h"

// Codes that stand for f32 numbers, under f32 scales, on f32 inputs: one fma a weight, K in order, each weight by the layout's
// own formula. What nf4 and fp4 have in every mode, and 8-bit floats in the exact one.
namespace gale::GALE_ISA {

// P panels side by side, which share the loads of x and hide the latency of a chain.
template <class Numbers, int P, int N>
void tile_numbers(const Tile& t) {
  const PanelGeometry& at = t.a.geometry;
  const int64_t group = t.a.layout.group;
  const Numbers numbers(t.a.layout.table);
  const uint8_t* unit[P];
  for (int p = 0; p < P; ++p) unit[p] = t.unit(p);
  const float* x[N];
  for (int n = 0; n < N; ++n) x[n] = t.a.x + t.input_row(n) * t.a.columns + t.first_column();
  f32x16 acc[P][N];
  for (int p = 0; p < P; ++p)
    for (int n = 0; n < N; ++n) acc[p][n] = t.begin(n, p);
  for (int64_t left = t.columns(); left > 0; left -= at.columns) {
    const int64_t columns = left < at.columns ? left : at.columns;
    for (int64_t first = 0; first < columns; first += group) {
      f32x16 scale[P];
      for (int p = 0; p < P; ++p) scale[p] = load(reinterpret_cast<const float*>(unit[p] + at.top) + first / group * 16);
      for (int64_t k = first; k < first + group; k += Numbers::kColumns) {
        i32x16 codes[P];
        for (int p = 0; p < P; ++p) {
          const uint8_t* from = unit[p] + at.codes + k / Numbers::kColumns * 64;
          prefetch_far(from + t.ahead);
          codes[p] = as_lanes(load_bytes(from));
        }
        for_columns<Numbers::kColumns>([&](auto i) __attribute__((always_inline)) {
          constexpr int kI = decltype(i)::value;
          f32x16 w[P];
          for (int p = 0; p < P; ++p) w[p] = mul(scale[p], numbers.template numbers<kI>(codes[p]));
          for (int n = 0; n < N; ++n) {
            const f32x16 all = set1(x[n][k + kI]);
            for (int p = 0; p < P; ++p) acc[p][n] = fma(w[p], all, acc[p][n]);
          }
        });
      }
    }
    for (int p = 0; p < P; ++p) unit[p] += at.bytes;
    for (int n = 0; n < N; ++n) x[n] += at.columns;
  }
  for (int p = 0; p < P; ++p)
    for (int n = 0; n < N; ++n) t.end(acc[p][n], n, p);
}

template <class Numbers>
struct NumbersTiles {
  template <int P, int R>
  struct Tiles {
    static constexpr int kRows = R, kPanels = P;
    static constexpr int64_t kInputBytes = 4;
    template <int N>
    static void tile(const Tile& t) {
      tile_numbers<Numbers, P, N>(t);
    }
  };
};

}  // namespace gale::GALE_ISA
