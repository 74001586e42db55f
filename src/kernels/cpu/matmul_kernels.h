#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/matrix.h"
#include "kernels/rounded.h"

// What matmul kernels take. Apart from kernels.h, because what is compiled from it takes longer than all else.
namespace gale {

/// y[rows, out rows] = x W^T over some panels of W.
struct MatmulArgs {
  const std::byte* panels = nullptr;  ///< from the first on
  PanelGeometry geometry;
  Layout layout;
  int64_t columns = 0, out_rows = 0;
  int64_t rows = 0;
  const int32_t* input_rows = nullptr;  ///< [rows] which input row each output row takes; null: the same
  RoundedRows rounded;                  ///< where the layout takes rounded inputs
  const float* x = nullptr;             ///< [input rows, columns] otherwise
  float* y = nullptr;                   ///< [rows, y_stride]
  int64_t y_stride = 0;
  int64_t ahead_one = 0;               ///< Tuning's
  const std::byte* numbers = nullptr;  ///< of a matrix whose groups run down columns
};
/// Where groups run down columns `panels` and `y` are those of a whole matrix, and its panels are counted in the order of what
/// they share: the i-th is panel i mod group x period + i / group. Work cut by this order makes what is shared about once.
using MatmulKernel = void (*)(const MatmulArgs&, int64_t panel_begin, int64_t panel_end);

/// The kernels of one layout.
struct LayoutKernels {
  Layout layout;
  MatmulKernel rounded;  ///< on rounded inputs, or f32 ones that it rounds itself; nullptr: standard mode is exact
  MatmulKernel exact;    ///< on f32 inputs
};

}  // namespace gale
