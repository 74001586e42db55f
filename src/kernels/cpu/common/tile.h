#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/matmul_kernels.h"

// What the tiles of every layout share. A tile is N rows of x against the 16 outputs of a panel, over some units of K: it goes on
// from the sums that y holds, unless it is at K's start, and leaves its own there, so that K can be walked in pieces that stay in
// cache without changing a chain.
namespace gale::GALE_ISA {

// Far enough that weights arrive from memory in time, near enough that they are still in L2. Not into L1: the few misses that it
// keeps track of at a time (24 on Zen 4) fill half of what memory can deliver, and then loads that would hit wait too.
constexpr int64_t kAhead = 8192;

inline void prefetch_weights(const void* p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) prefetch_far(static_cast<const std::byte*>(p) + i);
}

struct Tile {
  const MatmulArgs& a;
  int64_t panel, row;
  int64_t unit_begin, unit_end;
  int64_t ahead;      // bytes between the weights in hand and those fetched meanwhile: kAhead on the first pass over them, then 0
  int64_t next;       // rows to the tile that comes next and whose inputs are fetched meanwhile
  int64_t apart = 1;  // panels between those of a tile

  // p: panels of the tile further on
  const uint8_t* unit(int p = 0) const {
    return reinterpret_cast<const uint8_t*>(a.panels) + (panel + p * apart) * a.geometry.panel_bytes() +
           unit_begin * a.geometry.bytes;
  }
  int64_t input_row(int n) const { return a.input_rows ? a.input_rows[row + n] : row + n; }
  float* output(int n, int p) const { return a.y + (row + n) * a.y_stride + (panel + p * apart) * kPanelRows; }
  int64_t first_column() const { return unit_begin * a.geometry.columns; }
  int64_t columns() const {
    const int64_t last = unit_end * a.geometry.columns;
    return (last < a.columns ? last : a.columns) - first_column();
  }
  int64_t outputs(int p) const { return a.out_rows - (panel + p * apart) * kPanelRows; }  // 16 or more: whole

  // One sum at a time and by value: an array whose address escapes would live in memory, not in registers.
  f32x16 begin(int n, int p = 0) const { return unit_begin > 0 ? load_first(output(n, p), outputs(p)) : zero(); }
  void end(f32x16 sum, int n, int p = 0) const { store_first(output(n, p), sum, outputs(p)); }
};

}  // namespace gale::GALE_ISA
