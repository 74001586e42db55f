#include <cassert>
#include <cstring>

#include "base/checked.h"
#include "kernels/matmul_args.h"
#include "kernels/ops_shared.h"
#include "kernels/watch.h"

namespace gale {

PackedMatrix ExpertMatrix::one(int64_t expert) const {
  PackedMatrix own = stacked;
  own.rows = out;
  own.data = borrowed_storage(stacked.data->data() + expert * own.bytes(), size_t(own.bytes()),
                              std::make_shared<StorageRef>(stacked.data));
  return own;
}

namespace ops {
namespace {

constexpr int64_t kPieceBytes = int64_t(256) << 10;  // of an expert's panels that a thread takes at a time
constexpr int64_t kSumPanels = 32;  // at most, whose outputs of all experts wait for their sum; fewer read the inputs more often
constexpr int64_t kPiecesPerThread = 4;  // enough to even out threads of different luck

struct Range {
  int64_t begin, end;
};

Range pairs_of(const Routing& routing, int64_t expert) {
  const int32_t* begin = routing.begin.data<int32_t>();
  return {begin[expert], begin[expert + 1]};
}

// The same matmul for panels [first, first + n) of one expert and its pairs, from wherever `all` takes its inputs.
MatmulArgs of_expert(const MatmulArgs& all, const ExpertMatrix& w, int64_t expert, Range panels) {
  MatmulArgs out = all;
  start_at_panel(out, expert * w.panels() + panels.begin);
  out.out_rows = std::min(w.out, panels.end * kPanelRows) - panels.begin * kPanelRows;
  return out;
}

// x for experts whose columns have orders of their own: a row for each pair, in the order of its expert. `source`: the rows of x
// that pairs take; nullptr: x has a row a pair.
MatmulWeights weights_in_order(Ctx& ctx, const Tensor& x, const int32_t* source, const ExpertMatrix& w, const Routing& routing) {
  const Rounding rounding = rounding_of(ctx, w.stacked);
  const int64_t columns = w.stacked.columns, pairs = routing.pairs();
  MatmulWeights out;
  if (!ctx.measuring()) out = without_inputs(ctx, w.stacked, pairs);
  out.own = ctx.arena.bytes(rounding == Rounding::none ? size_t(pairs * columns) * sizeof(float)
                                                       : size_t(rounded_bytes(rounding, pairs, columns)));
  if (ctx.measuring()) return out;
  if (rounding == Rounding::none)
    out.args.x = reinterpret_cast<float*>(out.own->data());
  else
    out.args.rounded = rounded_view(out.own->data(), rounding, pairs, columns);
  ctx.pool.for_each(routing.n_active, 1, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      const int64_t expert = routing.active.data<int32_t>()[i];
      const Range range = pairs_of(routing, expert);
      for (int64_t pair = range.begin; pair < range.end; ++pair) {
        const float* row = x.data<float>() + (source ? source[pair] : pair) * columns;
        RoundedRows to = out.args.rounded;
        to.data += pair * to.stride;
        to.order = w.column_order(expert);
        if (rounding == Rounding::none)
          gather_columns(row, to.order, columns, reinterpret_cast<float*>(out.own->data()) + pair * columns);
        else
          ctx.cpu.round_pieces(row, to, 0, to.pieces());
      }
    }
  });
  return out;
}

MatmulWeights expert_weights(Ctx& ctx, const Tensor& x, const int32_t* source, const ExpertMatrix& w, const Routing& routing) {
  watch(ctx, w, x, source, routing);
  return w.orders ? weights_in_order(ctx, x, source, w, routing) : matmul_weights(ctx, x, w.stacked);
}

// y [pairs, stride]: each pair through its own expert, a piece of an expert for all of its pairs at a time.
void through_experts(Ctx& ctx, const MatmulWeights& m, const ExpertMatrix& w, const int32_t* source, const Routing& routing,
                     float* y, int64_t stride) {
  constexpr int64_t kSharing = 32;  // panels that make what they share worth making
  const int64_t even = ceil_div(w.panels() * routing.n_active, ctx.pool.threads() * kPiecesPerThread);
  const int64_t grain = std::min(std::max(even, kSharing), w.panels()), pieces = ceil_div(w.panels(), grain);
  ctx.pool.for_each(routing.n_active * pieces, 1, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      const int64_t expert = routing.active.data<int32_t>()[i / pieces], panel = i % pieces * grain;
      const Range pairs = pairs_of(routing, expert);
      MatmulArgs args = of_expert(m.args, w, expert, {0, w.panels()});
      args.rows = pairs.end - pairs.begin;
      if (source && !m.own)
        args.input_rows = source + pairs.begin;
      else
        start_at_row(args, pairs.begin);
      args.y = y + pairs.begin * stride;
      args.y_stride = stride;
      m.run(args, panel, std::min(panel + grain, w.panels()));
    }
  });
}

// A counting sort by expert that keeps the order of rows.
void group_pairs(const int32_t* chosen, Routing& out) {
  int32_t* begin = out.begin.data<int32_t>();
  int32_t* active = out.active.data<int32_t>();
  std::fill(begin, begin + out.experts + 1, 0);
  for (int64_t i = 0; i < out.pairs(); ++i) ++begin[chosen[i] + 1];
  for (int64_t e = 0; e < out.experts; ++e) {
    if (begin[e + 1] > 0) active[out.n_active++] = int32_t(e);
    begin[e + 1] += begin[e];
  }
  for (int64_t i = 0; i < out.pairs(); ++i) {
    const int32_t at = begin[chosen[i]]++;
    out.place.data<int32_t>()[i] = at;
    out.source.data<int32_t>()[at] = int32_t(i / out.used);
  }
  for (int64_t e = out.experts; e > 0; --e) begin[e] = begin[e - 1];  // each had moved on to the next one's
  begin[0] = 0;
}

}  // namespace

Routing route(Ctx& ctx, const Tensor& logits, int64_t used, bool renormalize) {
  Routing out;
  out.rows = logits.dim(0);
  out.experts = logits.dim(1);
  out.used = used;
  assert(used >= 1 && used <= out.experts);
  out.weights = ctx.tensor({out.rows, used});
  out.place = ctx.tensor({out.rows, used}, DType::i32);
  out.source = ctx.tensor({out.pairs()}, DType::i32);
  out.begin = ctx.tensor({out.experts + 1}, DType::i32);
  out.active = ctx.tensor({out.experts}, DType::i32);
  const Tensor chosen = ctx.tensor({out.rows, used}, DType::i32);
  if (ctx.measuring()) return out;
  const RouteArgs args{logits.data<float>(), out.experts, used, renormalize, chosen.data<int32_t>(), out.weights.data<float>()};
  ctx.pool.for_each(out.rows, row_grain(out.experts * 16), [&](int64_t b, int64_t e) { ctx.cpu.route(args, b, e); });
  group_pairs(chosen.data<int32_t>(), out);
  return out;
}

Tensor experts_gate_up(Ctx& ctx, const Tensor& x, const ExpertMatrix& gate, const ExpertMatrix& up, const Routing& routing) {
  assert(gate.out == up.out && x.dim(0) == routing.rows);
  const int64_t width = gate.out;
  Tensor h = ctx.tensor({routing.pairs(), width});
  const int32_t* source = ctx.measuring() ? nullptr : routing.source.data<int32_t>();
  const StorageRef map = ctx.arena.bytes(size_t(routing.pairs()) * sizeof(int32_t));
  h.set_row_map(map);
  if (!ctx.measuring()) {
    auto* rows = reinterpret_cast<int32_t*>(map->data());
    for (int64_t i = 0; i < routing.pairs(); ++i) rows[i] = x.rows() ? x.rows()[source[i]] : source[i];
  }
  MatmulWeights gates = expert_weights(ctx, x, source, gate, routing), ups = expert_weights(ctx, x, source, up, routing);
  if (takes_whole(gate.stacked) || takes_whole(up.stacked)) {
    const Tensor other = ctx.tensor({routing.pairs(), width});
    if (ctx.measuring()) return h;
    through_experts(ctx, gates, gate, source, routing, h.data<float>(), width);
    through_experts(ctx, ups, up, source, routing, other.data<float>(), width);
    ctx.pool.for_each(h.elements(), kGrainBytes / 16, [&](int64_t b, int64_t e) {
      ctx.cpu.silu_mul(h.data<float>(), other.data<float>(), h.data<float>(), b, e);
    });
    return h;
  }
  const GateUp both(ctx, std::move(gates), std::move(ups), routing.rows);
  if (ctx.measuring()) return h;
  const auto work = [&](int64_t expert, Range panels, int thread) {
    const Range pairs = pairs_of(routing, expert);
    const int64_t column = panels.begin * kPanelRows;
    both.run({.first_panel = expert * gate.panels() + panels.begin,
              .columns = std::min(width, panels.end * kPanelRows) - column,
              .rows = pairs.end - pairs.begin,
              .first_row = pairs.begin,
              .input_rows = source + pairs.begin,
              .y = h.data<float>() + pairs.begin * width + column,
              .y_stride = width},
             thread);
  };
  const int64_t bytes = gate.stacked.geometry.panel_bytes() + up.stacked.geometry.panel_bytes();
  const int64_t even = ceil_div(gate.panels() * routing.n_active, ctx.pool.threads() * kPiecesPerThread);
  const int64_t grain = std::clamp<int64_t>(kPieceBytes / bytes, 1, std::max<int64_t>(even, 1));
  const int64_t pieces = ceil_div(gate.panels(), grain);
  ctx.pool.for_each(routing.n_active * pieces, 1, [&](int64_t b, int64_t e, int thread) {
    for (int64_t i = b; i < e; ++i) {
      const int64_t panel = i % pieces * grain;
      work(routing.active.data<int32_t>()[i / pieces], {panel, std::min(panel + grain, gate.panels())}, thread);
    }
  });
  return h;
}

Tensor experts_down(Ctx& ctx, const Tensor& h, const ExpertMatrix& down, const Routing& routing) {
  assert(h.dim(0) == routing.pairs());
  Tensor y = ctx.tensor({routing.rows, down.out});
  const Tensor parts = ctx.tensor({routing.pairs(), down.panels() * kPanelRows});
  const MatmulWeights m = expert_weights(ctx, h, nullptr, down, routing);
  if (ctx.measuring()) return y;
  const auto sum = [&](const float* part, int64_t stride, int64_t column, int64_t width, int64_t row, int64_t end) {
    ctx.cpu.sum_experts({part, stride, routing.place.data<int32_t>(), routing.weights.data<float>(), routing.used,
                         y.data<float>() + column, down.out, std::min(width, down.out - column)},
                        row, end);
  };
  if (takes_whole(down.stacked)) {
    const int64_t stride = down.panels() * kPanelRows;
    through_experts(ctx, m, down, nullptr, routing, parts.data<float>(), stride);
    ctx.pool.for_each(routing.rows, row_grain(down.out * 4 * routing.used),
                      [&](int64_t b, int64_t e) { sum(parts.data<float>(), stride, 0, down.out, b, e); });
    return y;
  }
  // A few outputs of all experts, then their sum while they are in a cache: `parts` is cut by panels, not by rows.
  const auto work = [&](Range panels) {
    const int64_t column = panels.begin * kPanelRows, width = (panels.end - panels.begin) * kPanelRows;
    float* part = parts.data<float>() + routing.pairs() * column;
    for (int64_t i = 0; i < routing.n_active; ++i) {
      const int64_t expert = routing.active.data<int32_t>()[i];
      const Range pairs = pairs_of(routing, expert);
      MatmulArgs args = of_expert(m.args, down, expert, panels);
      args.rows = pairs.end - pairs.begin;
      start_at_row(args, pairs.begin);
      args.y = part + pairs.begin * width;
      args.y_stride = width;
      m.run(args, 0, panels.end - panels.begin);
    }
    sum(part, width, column, width, 0, routing.rows);
  };
  const int64_t even = ceil_div(down.panels(), ctx.pool.threads() * kPiecesPerThread);
  const int64_t grain = std::min(even, kSumPanels);
  ctx.pool.for_each(ceil_div(down.panels(), grain), 1, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) work({i * grain, std::min((i + 1) * grain, down.panels())});
  });
  return y;
}

}  // namespace ops
}  // namespace gale
