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

/// A tensor of that shape with the row map of x, where it has as many rows.
Tensor like(Ctx& ctx, const Tensor& x, Shape shape);

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
/// The inputs from row `first` on.
inline void start_at_row(MatmulArgs& args, int64_t first) {
  if (args.rounded.data != nullptr)
    args.rounded.data += first * args.rounded.stride;
  else
    args.x += first * args.columns;
}
/// to[i] = x[order[i]]
inline void gather_columns(const float* x, const int32_t* order, int64_t columns, float* to) {
  for (int64_t i = 0; i < columns; ++i) to[i] = x[order[i]];
}

/// Some panels of gate and up against some rows of their input.
struct GateUpPiece {
  int64_t first_panel = 0, columns = 0;  ///< outputs from that panel's first on
  int64_t rows = 0;
  int64_t first_row = 0;                ///< of the inputs, unless there are
  const int32_t* input_rows = nullptr;  ///< [rows], for weights whose inputs are not their own
  float* y = nullptr;                   ///< [rows, y_stride]
  int64_t y_stride = 0;
};

/// silu(x gate^T) x (x up^T), piece by piece: what either gives on its own never leaves the cache.
class GateUp {
 public:
  /// `most_rows`: of a piece. Asks the arena for a block of scratch per thread.
  GateUp(Ctx& ctx, MatmulWeights gate, MatmulWeights up, int64_t most_rows);
  void run(const GateUpPiece& piece, int thread) const;

 private:
  const CpuKernels& cpu_;
  MatmulWeights gate_, up_;
  int64_t scratch_floats_;
  Tensor scratch_;  // [threads, gate's and up's block]
};

}  // namespace gale::ops
