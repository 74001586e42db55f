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

/// silu(gate) x up of these panels at gate.args.y; up.args.y is scratch of the same width.
void multiply_gate_up(const CpuKernels& cpu, const MatmulWeights& gate, const MatmulWeights& up, int64_t panel_begin,
                      int64_t panel_end);

}  // namespace gale::ops
