#pragma once
#include <algorithm>

#include "base/checked.h"
#include "kernels/cpu/matmul_kernels.h"

namespace gale {

/// The arguments of y[rows, w.rows] = x W^T, but for x and y.
inline MatmulArgs matmul_args(const PackedMatrix& w, int64_t rows) {
  MatmulArgs args;
  args.panels = w.panel(0);
  if (w.geometry.period > 0) args.numbers = w.numbers(0);
  args.geometry = w.geometry;
  args.layout = w.layout;
  args.columns = w.columns;
  args.out_rows = w.rows;
  args.rows = rows;
  args.y_stride = w.rows;
  return args;
}

/// The same from panel n on, counted over all matrices of a stack. REQUIRES: args begin with panel 0; n is the first of a matrix
/// where groups run down columns.
inline void start_at_panel(MatmulArgs& args, int64_t n) {
  const PanelGeometry& g = args.geometry;
  args.panels += n * g.panel_bytes();
  if (g.period == 0) return;
  const int64_t matrix = n / g.matrix_panels;
  args.panels += matrix * g.numbers_bytes();
  args.numbers += matrix * (g.numbers_bytes() + g.matrix_panels * g.panel_bytes());
}

/// Whether kernels want all of y, and count panels in an order of their own.
inline bool takes_whole(const PackedMatrix& w) { return w.geometry.period > 0; }

/// Fewest panels a thread takes at a time: enough to hide the counter and the start of a stream of memory, and for what panels
/// share to be worth making, unless threads then had nothing to share.
inline int64_t matmul_grain(const PackedMatrix& w) {
  constexpr int64_t kSharing = 32, kLeastPieces = 16;
  const int64_t sharing = takes_whole(w) ? std::min(kSharing, w.panels() / kLeastPieces) : 1;
  return std::max<int64_t>({(int64_t(32) << 10) / w.geometry.panel_bytes(), sharing, 1});
}

}  // namespace gale
