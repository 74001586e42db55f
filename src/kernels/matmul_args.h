#pragma once
#include <algorithm>

#include "base/checked.h"
#include "kernels/cpu/matmul_kernels.h"

namespace gale {

/// The arguments of y[rows, w.rows] = x W^T, but for x and y.
inline MatmulArgs matmul_args(const PackedMatrix& w, int64_t rows) {
  MatmulArgs args;
  args.panels = w.data->data();
  args.geometry = w.geometry;
  args.layout = w.layout;
  args.columns = w.columns;
  args.out_rows = w.rows;
  args.rows = rows;
  args.y_stride = w.rows;
  return args;
}

/// Fewest panels a thread takes at a time: enough to hide the counter and the start of a stream of memory.
inline int64_t matmul_grain(const PackedMatrix& w) {
  return std::max<int64_t>((int64_t(32) << 10) / w.geometry.panel_bytes(), 1);
}

}  // namespace gale
