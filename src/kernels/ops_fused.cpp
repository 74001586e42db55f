#include <array>
#include <cassert>

#include "kernels/matmul_args.h"
#include "kernels/ops_shared.h"

// Several matmuls of one input under one hand-over to the threads: with a row or two a hand-over, and the wait for the last
// thread, weigh as much as the smaller matrices.
namespace gale::ops {
namespace {

constexpr size_t kMostTogether = 4;
constexpr int64_t kGatePanels = 8;  // whose outputs of gate and up wait in a cache for their product

}  // namespace

void matmuls(Ctx& ctx, const Tensor& x, std::span<const PackedMatrix* const> weights, std::span<Tensor> out) {
  assert(weights.size() == out.size() && weights.size() <= kMostTogether);
  std::array<MatmulWeights, kMostTogether> each;
  int64_t panels = 0, grain = 1;
  for (size_t i = 0; i < weights.size(); ++i) {
    const PackedMatrix& w = *weights[i];
    assert(x.dim(1) == w.columns);
    out[i] = like(ctx, x, {x.dim(0), w.rows});
    each[i] = matmul_weights(ctx, x, w);
    each[i].args.y = out[i].data<float>();
    panels += w.panels();
    grain = std::max(grain, matmul_grain(w));
  }
  if (ctx.measuring()) return;
  // Panels of one matrix after those of another: a piece may end in the next.
  ctx.pool.for_each(panels, grain, [&](int64_t begin, int64_t end) {
    for (size_t i = 0; i < weights.size() && end > 0; ++i) {
      const int64_t own = weights[i]->panels();
      if (begin < own) each[i].run(each[i].args, std::max<int64_t>(begin, 0), std::min(end, own));
      begin -= own;
      end -= own;
    }
  });
}

void multiply_gate_up(const CpuKernels& cpu, const MatmulWeights& gate, const MatmulWeights& up, int64_t panel_begin,
                      int64_t panel_end) {
  for (int64_t panel = panel_begin; panel < panel_end; panel += kGatePanels) {
    const int64_t end = std::min(panel + kGatePanels, panel_end);
    gate.run(gate.args, panel, end);
    up.run(up.args, panel, end);
    const int64_t column = panel * kPanelRows, columns = std::min(gate.args.out_rows, end * kPanelRows) - column;
    for (int64_t i = 0; i < gate.args.rows; ++i) {
      float* to = gate.args.y + i * gate.args.y_stride + column;
      cpu.silu_mul(to, up.args.y + i * up.args.y_stride + column, to, 0, columns);
    }
  }
}

Tensor gate_up(Ctx& ctx, const Tensor& x, const PackedMatrix& gate, const PackedMatrix& up) {
  assert(gate.rows == up.rows && x.dim(1) == gate.columns && x.dim(1) == up.columns);
  Tensor h = like(ctx, x, {x.dim(0), gate.rows});
  const Tensor other = ctx.tensor(h.shape());
  MatmulWeights first = matmul_weights(ctx, x, gate), second = matmul_weights(ctx, x, up);
  if (ctx.measuring()) return h;
  first.args.y = h.data<float>();
  second.args.y = other.data<float>();
  ctx.pool.for_each(gate.panels(), matmul_grain(gate),
                    [&](int64_t begin, int64_t end) { multiply_gate_up(ctx.cpu, first, second, begin, end); });
  return h;
}

}  // namespace gale::ops
