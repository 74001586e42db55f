#include <array>
#include <cassert>

#include "kernels/matmul_args.h"
#include "kernels/ops_shared.h"
#include "kernels/watch.h"

// Several matmuls of one input under one hand-over to the threads: with a row or two a hand-over, and the wait for the last
// thread, weigh as much as the smaller matrices.
namespace gale::ops {
namespace {

constexpr size_t kMostTogether = 4;

// A block of outputs of gate and up that waits in a cache for its product: beside its inputs and panels in the second level.
constexpr int64_t kGatePanels = 8, kGateColumns = kGatePanels * kPanelRows, kGateRows = 128;

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
    watch(ctx, w, x);
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

GateUp::GateUp(Ctx& ctx, MatmulWeights gate, MatmulWeights up, int64_t most_rows)
    : cpu_(ctx.cpu),
      gate_(std::move(gate)),
      up_(std::move(up)),
      scratch_floats_(2 * std::min(most_rows, kGateRows) * kGateColumns),
      scratch_(ctx.tensor({ctx.pool.threads(), scratch_floats_})) {}

void GateUp::run(const GateUpPiece& piece, int thread) const {
  float* const gates = scratch_.data<float>() + thread * scratch_floats_;
  float* const ups = gates + scratch_floats_ / 2;
  const auto multiply = [&](const MatmulWeights& m, int64_t first, int64_t rows, int64_t panel, int64_t panels, float* y) {
    MatmulArgs args = m.args;
    start_at_panel(args, piece.first_panel + panel);
    args.out_rows = std::min(piece.columns - panel * kPanelRows, panels * kPanelRows);
    if (piece.input_rows && !m.own)
      args.input_rows = piece.input_rows + first;
    else
      start_at_row(args, piece.first_row + first);
    args.rows = rows;
    args.y = y;
    args.y_stride = kGateColumns;
    m.run(args, 0, panels);
  };
  const int64_t all = (piece.columns + kPanelRows - 1) / kPanelRows;
  for (int64_t panel = 0; panel < all; panel += kGatePanels)
    for (int64_t first = 0; first < piece.rows; first += kGateRows) {
      const int64_t panels = std::min(kGatePanels, all - panel), rows = std::min(kGateRows, piece.rows - first);
      multiply(gate_, first, rows, panel, panels, gates);
      multiply(up_, first, rows, panel, panels, ups);
      const int64_t column = panel * kPanelRows, columns = std::min(piece.columns - column, panels * kPanelRows);
      for (int64_t i = 0; i < rows; ++i)
        cpu_.silu_mul(gates + i * kGateColumns, ups + i * kGateColumns, piece.y + (first + i) * piece.y_stride + column, 0,
                      columns);
    }
}

Tensor gate_up(Ctx& ctx, const Tensor& x, const PackedMatrix& gate, const PackedMatrix& up) {
  assert(gate.rows == up.rows && x.dim(1) == gate.columns && x.dim(1) == up.columns);
  if (takes_whole(gate) || takes_whole(up)) {
    std::array<Tensor, 2> both;
    matmuls(ctx, x, std::array{&gate, &up}, both);
    return silu_mul(ctx, both[0], both[1]);
  }
  Tensor h = like(ctx, x, {x.dim(0), gate.rows});
  for (const PackedMatrix* w : {&gate, &up}) watch(ctx, *w, x);
  const GateUp both(ctx, matmul_weights(ctx, x, gate), matmul_weights(ctx, x, up), x.dim(0));
  if (ctx.measuring()) return h;
  ctx.pool.for_each(gate.panels(), matmul_grain(gate), [&](int64_t begin, int64_t end, int thread) {
    const int64_t column = begin * kPanelRows;
    both.run({.first_panel = begin,
              .columns = std::min(gate.rows, end * kPanelRows) - column,
              .rows = x.dim(0),
              .y = h.data<float>() + column,
              .y_stride = gate.rows},
             thread);
  });
  return h;
}

}  // namespace gale::ops
