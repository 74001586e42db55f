#pragma once
#include "kernels/cpu/common/tile_numbers.h"
#include "kernels/cpu/common/walk.h"

// Codes that stand for numbers bf16 holds exactly, under f32 scales, on inputs rounded to bf16. A group is one dot of pairs; its
// scale joins it to the output's chain. pairs.h, or the one of a set with an instruction for it, is included before.
//   acc += scale x (sum of number x input)
namespace gale::GALE_ISA {

// P panels side by side.
template <class Numbers, int P, int N>
void tile_number_pairs(const Tile& t) {
  static_assert(Numbers::kColumns == 4);
  const PanelGeometry& at = t.a.geometry;
  const int64_t group = t.a.layout.group;
  const Numbers numbers(t.a.layout.table);
  const uint8_t* unit[P];
  for (int p = 0; p < P; ++p) unit[p] = t.unit(p);
  const PairWord* x[N];
  for (int n = 0; n < N; ++n) x[n] = t.a.rounded.row<PairWord>(t.input_row(n)) + t.first_column() / 2;
  f32x16 acc[P][N];
  for (int p = 0; p < P; ++p)
    for (int n = 0; n < N; ++n) acc[p][n] = t.begin(n, p);
  for (int64_t left = t.columns(); left > 0; left -= at.columns) {
    const int64_t columns = left < at.columns ? left : at.columns;
    for (int64_t first = 0; first < columns; first += group) {
      f32x16 sum[P][N];
      for (int p = 0; p < P; ++p)
        for (int n = 0; n < N; ++n) sum[p][n] = zero();
      for (int64_t k = first; k < first + group; k += 4) {
        bf16x32 low[P], high[P];
        for (int p = 0; p < P; ++p) {
          const uint8_t* from = unit[p] + at.codes + k * 16;
          prefetch_far(from + t.ahead);
          const i32x16 codes = as_lanes(load_bytes(from));
          low[p] = join_pairs(numbers.template numbers<0>(codes), numbers.template numbers<1>(codes));
          high[p] = join_pairs(numbers.template numbers<2>(codes), numbers.template numbers<3>(codes));
        }
        for (int n = 0; n < N; ++n) {
          const bf16x32 all = spread(x[n] + k / 2);
          for (int p = 0; p < P; ++p) sum[p][n] = dot_pairs(sum[p][n], low[p], all);
        }
        for (int n = 0; n < N; ++n) {
          const bf16x32 all = spread(x[n] + k / 2 + 1);
          for (int p = 0; p < P; ++p) sum[p][n] = dot_pairs(sum[p][n], high[p], all);
        }
      }
      for (int p = 0; p < P; ++p) {
        const f32x16 scale = load(reinterpret_cast<const float*>(unit[p] + at.top) + first / group * 16);
        for (int n = 0; n < N; ++n) acc[p][n] = fma(scale, sum[p][n], acc[p][n]);
      }
    }
    for (int p = 0; p < P; ++p) unit[p] += at.bytes;
    for (int n = 0; n < N; ++n) x[n] += at.columns / 2;
  }
  for (int p = 0; p < P; ++p)
    for (int n = 0; n < N; ++n) t.end(acc[p][n], n, p);
}

template <class Numbers, int P, int R>
struct NumberPairs {
  static constexpr int kRows = R, kPanels = P;
  static constexpr int64_t kInputBytes = sizeof(PairWord) / 2;
  template <int N>
  static void tile(const Tile& t) {
    tile_number_pairs<Numbers, P, N>(t);
  }
};

// For one row or two as many panels as hide the latency of a chain, for more as many rows as registers hold.
template <class Numbers>
void walk_number_pairs(const MatmulArgs& a, int64_t panel_begin, int64_t panel_end) {
  constexpr int kManyPanels = 4;
  if (a.rows > 2) return walk<NumberPairs<Numbers, 1, kRowTile>>(a, panel_begin, panel_end);
  const int64_t end = panel_begin + (panel_end - panel_begin) / kManyPanels * kManyPanels;
  walk<NumberPairs<Numbers, kManyPanels, 2>>(a, panel_begin, end);
  walk<NumberPairs<Numbers, 1, 2>>(a, end, panel_end);
}

}  // namespace gale::GALE_ISA
