#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/ops.h"

// What the files that implement ops.h share. Private to this room.
namespace gale::ops {

// Work worth handing to another thread, in touched bytes: below it the hand-over costs more than it saves.
constexpr int64_t kGrainBytes = 32 * 1024;

inline int64_t row_grain(int64_t bytes_per_row) {
  return std::max<int64_t>(1, kGrainBytes / std::max<int64_t>(1, bytes_per_row));
}

/// All of a matmul of x but its output: x rounded as the layout wants it, the panels, the kernel. Over a measuring arena only the
/// memory of the rounded form is asked for.
struct MatmulWeights {
  MatmulArgs args;
  MatmulKernel run = nullptr;
  StorageRef own;  ///< of x with its columns in the order of the weights, where those have one
};
MatmulWeights matmul_weights(Ctx& ctx, const Tensor& x, const PackedMatrix& w);

/// How the inputs of w are rounded, and the arguments and the kernel without them.
inline Rounding rounding_of(const Ctx& ctx, const PackedMatrix& w) {
  return ctx.precision == Precision::exact ? Rounding::none : layout_rounding(w.layout);
}
MatmulWeights without_inputs(const Ctx& ctx, const PackedMatrix& w, int64_t rows);
/// to[i] = x[order[i]]
inline void gather_columns(const float* x, const int32_t* order, int64_t columns, float* to) {
  for (int64_t i = 0; i < columns; ++i) to[i] = x[order[i]];
}

}  // namespace gale::ops
