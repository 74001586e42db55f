#pragma once
#include "kernels/cpu/common/groups.h"
#include "kernels/cpu/common/tile.h"

// Matmul over panels of 16 output rows. What keeps bits the same for any number of rows: each output is one f32 chain over the
// blocks of K in order, and inside a block sums are integers. How rows are tiled and K is cut only decides what is reused from
// which cache.
//
// A Kernel has: kRows, kPanels (the largest tile), kInputBytes (of a column of an input row), and tile<N>(tile) for N in 1 ..
// kRows.
namespace gale::GALE_ISA {

constexpr int64_t kInputBlock = 256 << 10;  // bytes of input rows that stay in L2 beside the panels
constexpr int64_t kPanelPiece = 32 << 10;   // bytes of a panel that stay close while the rows pass: less starts too many tiles

// Rows [row, end) against some units of a panel (or of kPanels side by side), evenly split into tiles.
template <class Kernel>
void walk_rows(const MatmulArgs& a, int64_t panel, int64_t row, int64_t end, int64_t unit_begin, int64_t unit_end) {
  in_groups<Kernel::kRows>(end - row, [&](int64_t first, auto rows) {
    const bool last = row + first + rows.value == end;
    const int64_t ahead = first > 0 ? 0 : a.rows == 1 ? a.ahead_one : kAhead;
    Kernel::template tile<rows.value>(
        Tile{a, panel, row + first, unit_begin, unit_end, ahead, last || a.input_rows ? 0 : int64_t(rows.value)});
  });
}

// REQUIRES: a number of panels that kPanels divides.
template <class Kernel>
void walk(const MatmulArgs& a, int64_t panel_begin, int64_t panel_end) {
  const auto least = [](int64_t x, int64_t y) { return x < y ? x : y; };
  const auto fitting = [](int64_t all, int64_t each, int64_t lowest) { return all / each < lowest ? lowest : all / each; };
  const int64_t rows = fitting(kInputBlock, a.columns * Kernel::kInputBytes * Kernel::kRows, 2) * Kernel::kRows;
  const int64_t units = fitting(kPanelPiece, a.geometry.bytes, 1);
  for (int64_t row = 0; row < a.rows; row += rows)
    for (int64_t panel = panel_begin; panel < panel_end; panel += Kernel::kPanels)
      for (int64_t u = 0; u < a.geometry.units; u += units)
        walk_rows<Kernel>(a, panel, row, least(row + rows, a.rows), u, least(u + units, a.geometry.units));
}

// Kernel<panels, rows> for dense layouts: wide tiles, one panel at a time for what is left of them, and for one row or two as
// many panels as hide the latency of a chain.
template <template <int, int> class Kernel, int Panels>
void walk_dense(const MatmulArgs& a, int64_t panel_begin, int64_t panel_end) {
  constexpr int kManyPanels = 4, kDenseRows = 4;  // 4 x 4 sums and their operands fit the registers, 6 x 4 did not
  const int64_t together = a.rows <= 2 ? kManyPanels : Panels;
  const int64_t end = panel_begin + (panel_end - panel_begin) / together * together;
  if (a.rows <= 2)
    walk<Kernel<kManyPanels, 2>>(a, panel_begin, end);
  else
    walk<Kernel<Panels, kDenseRows>>(a, panel_begin, end);
  walk<Kernel<1, kDenseRows>>(a, end, panel_end);
}

}  // namespace gale::GALE_ISA
