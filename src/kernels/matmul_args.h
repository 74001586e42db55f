#pragma once
#include <algorithm>

#include "base/checked.h"
#include "kernels/cpu/kernels.h"

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

/// Panels a thread takes at a time: enough to hide the counter, few enough to even out two threads of different luck.
inline int64_t matmul_grain(const PackedMatrix& w, int threads) {
  return std::clamp<int64_t>((int64_t(256) << 10) / w.geometry.panel_bytes(), 1, ceil_div(w.panels(), threads));
}

}  // namespace gale
