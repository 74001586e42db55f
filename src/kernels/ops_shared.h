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
};
MatmulWeights matmul_weights(Ctx& ctx, const Tensor& x, const PackedMatrix& w);

/// Some panels of gate and up against some rows of their input.
struct GateUpPiece {
  int64_t first_panel = 0, columns = 0;  ///< outputs from that panel's first on
  int64_t rows = 0;
  const int32_t* input_rows = nullptr;  ///< [rows], null: the first ones
  float* y = nullptr;                   ///< [rows, y_stride]
  int64_t y_stride = 0;
};

/// silu(x gate^T) x (x up^T), piece by piece: what either gives on its own never leaves the cache.
class GateUp {
 public:
  /// `most_rows`: of a piece. Asks the arena for a block of scratch per thread.
  GateUp(Ctx& ctx, const Tensor& x, const PackedMatrix& gate, const PackedMatrix& up, int64_t most_rows);
  void run(const GateUpPiece& piece, int thread) const;

 private:
  const CpuKernels& cpu_;
  MatmulWeights gate_, up_;
  int64_t scratch_floats_;
  Tensor scratch_;  // [threads, gate's and up's block]
};

}  // namespace gale::ops
