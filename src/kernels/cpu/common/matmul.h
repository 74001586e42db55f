#pragma once
#include "kernels/cpu/common/tile_dense.h"
#include "kernels/cpu/common/tile_exact.h"
#include "kernels/cpu/common/tile_grouped.h"

// Matmul over panels of 16 output rows. What keeps bits the same for any number of rows: each output is one f32 chain over the
// blocks of K in order, and inside a block sums are integers. How rows are tiled and K is cut only decides what is reused from
// which cache.
namespace gale::GALE_ISA {

constexpr int64_t kInputBlock = 256 << 10;  // bytes of input rows that stay in L2 beside the panels
constexpr int64_t kPanelPiece =
    32 << 10;  // bytes of a panel that stay close while the rows pass; smaller ones start too many tiles

// Calls Kernel::tile<n>(tile) for n in 1 .. kRowTile.
template <class Kernel, int N = 1>
void run_tile(int64_t n, const Tile& tile) {
  if constexpr (N < kRowTile)
    if (n != N) return run_tile<Kernel, N + 1>(n, tile);
  Kernel::template tile<N>(tile);
}

// Rows [row, end) against some units of a panel, evenly split into tiles of at most kRowTile.
template <class Kernel>
void walk_rows(const MatmulArgs& a, int64_t panel, int64_t row, int64_t end, int64_t unit_begin, int64_t unit_end) {
  int64_t ahead = kAhead;
  for (int64_t tiles = (end - row + kRowTile - 1) / kRowTile; tiles > 0; --tiles) {
    const int64_t n = (end - row + tiles - 1) / tiles;
    run_tile<Kernel>(n, Tile{a, panel, row, unit_begin, unit_end, ahead, a.input_rows ? 0 : n});
    row += n;
    ahead = 0;
  }
}

template <class Kernel>
void matmul(const MatmulArgs& a, int64_t panel_begin, int64_t panel_end) {
  const int64_t fitting_rows = kInputBlock / (a.columns * Kernel::kInputBytes) / kRowTile * kRowTile;
  const int64_t rows = fitting_rows < 2 * kRowTile ? 2 * kRowTile : fitting_rows;
  const int64_t fitting_units = kPanelPiece / a.geometry.bytes, units = fitting_units < 1 ? 1 : fitting_units;
  const auto least = [](int64_t x, int64_t y) { return x < y ? x : y; };
  for (int64_t row = 0; row < a.rows; row += rows)
    for (int64_t panel = panel_begin; panel < panel_end; ++panel)
      for (int64_t u = 0; u < a.geometry.units; u += units)
        walk_rows<Kernel>(a, panel, row, least(row + rows, a.rows), u, least(u + units, a.geometry.units));
}

template <int Bits>
struct OneLevel {
  static constexpr int64_t kInputBytes = 1;
  template <int N>
  static void tile(const Tile& t) {
    tile_one_level<Bits, N>(t);
  }
};
template <int Bits, int Group, bool Minimum>
struct TwoLevel {
  static constexpr int64_t kInputBytes = 1;
  template <int N>
  static void tile(const Tile& t) {
    tile_two_level<Bits, Group, Minimum, N>(t);
  }
};
template <int Bits>
struct Exact {
  static constexpr int64_t kInputBytes = 4;
  template <int N>
  static void tile(const Tile& t) {
    tile_exact<Bits, N>(t);
  }
};
template <class Load>
struct Dense {
  static constexpr int64_t kInputBytes = 4;
  template <int N>
  static void tile(const Tile& t) {
    tile_dense<Load, 1, N>(t);
  }
};

template <class Load>
void matmul_dense(const MatmulArgs& a, int64_t panel_begin, int64_t panel_end) {
  int64_t panel = panel_begin;
  if (a.rows == 1)
    for (; panel + 4 <= panel_end; panel += 4) tile_dense<Load, 4, 1>(Tile{a, panel, 0, 0, 1, 0, 0});
  matmul<Dense<Load>>(a, panel, panel_end);
}

constexpr Layout one_level(uint8_t bits) {
  return {Layout::Kind::grouped, DType::f32, bits, 32, 32, ScaleType::f16, ScaleType::none, false, uint8_t(1 << (bits - 1))};
}
constexpr Layout two_level(uint8_t bits, int16_t group, ScaleType sub, bool minimum) {
  return {
      Layout::Kind::grouped, DType::f32, bits, group, 256, ScaleType::f16, sub, minimum, uint8_t(minimum ? 0 : 1 << (bits - 1))};
}

extern const LayoutKernels kLayouts[] = {
    {dense_layout(DType::f32), nullptr, &matmul_dense<LoadF32>},
    {dense_layout(DType::f16), nullptr, &matmul_dense<LoadF16>},
    {dense_layout(DType::bf16), nullptr, &matmul_dense<LoadBf16>},
    {one_level(8), &matmul<OneLevel<8>>, &matmul<Exact<8>>},
    {one_level(4), &matmul<OneLevel<4>>, &matmul<Exact<4>>},
    {two_level(4, 32, ScaleType::u6, true), &matmul<TwoLevel<4, 32, true>>, &matmul<Exact<4>>},
    {two_level(6, 16, ScaleType::i8, false), &matmul<TwoLevel<6, 16, false>>, &matmul<Exact<6>>},
};
extern const size_t kLayoutCount = sizeof kLayouts / sizeof kLayouts[0];

}  // namespace gale::GALE_ISA
