#include "kernels/ops.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/checked.h"
#include "kernels/matmul_args.h"
#include "kernels/ops_shared.h"
#include "kernels/watch.h"

namespace gale::ops {
namespace {

// By pieces of rows: half of a single long row may still lie in another core's cache, and two fetch it in half the time.
void round_all(Ctx& ctx, const Tensor& x, const RoundedRows& out) {
  constexpr int64_t kPieces = 8;  // worth handing to another thread
  ctx.pool.for_each(out.rows * out.pieces(), kPieces,
                    [&](int64_t b, int64_t e) { ctx.cpu.round_pieces(x.data<float>(), out, b, e); });
}

RoundedRows rounded_of(Ctx& ctx, const Tensor& x, Rounding rounding) {
  const int form = int(rounding) - 1;
  const int64_t rows = x.dim(0), columns = x.dim(1);
  const bool fresh = !x.form(form);
  if (fresh) x.set_form(form, ctx.arena.bytes(size_t(rounded_bytes(rounding, rows, columns))));
  if (ctx.measuring()) return {};
  const RoundedRows out = rounded_view(x.form(form)->data(), rounding, rows, columns);
  if (fresh) round_all(ctx, x, out);
  return out;
}

// Weights whose columns have an order of their own take x gathered into it, rounded or not.
RoundedRows rounded_in_order(Ctx& ctx, const Tensor& x, Rounding rounding, const PackedMatrix& w, StorageRef& own) {
  own = ctx.arena.bytes(size_t(rounded_bytes(rounding, x.dim(0), w.columns)));
  if (ctx.measuring()) return {};
  RoundedRows out = rounded_view(own->data(), rounding, x.dim(0), w.columns);
  out.order = w.column_order();
  round_all(ctx, x, out);
  return out;
}

const float* values_in_order(Ctx& ctx, const Tensor& x, const PackedMatrix& w, StorageRef& own) {
  own = ctx.arena.bytes(size_t(x.elements()) * sizeof(float));
  if (ctx.measuring()) return nullptr;
  auto* to = reinterpret_cast<float*>(own->data());
  const int32_t* order = w.column_order();
  ctx.pool.for_each(x.dim(0), row_grain(w.columns * 4), [&](int64_t b, int64_t e) {
    for (int64_t r = b; r < e; ++r) gather_columns(x.data<float>() + r * w.columns, order, w.columns, to + r * w.columns);
  });
  return to;
}

}  // namespace

Tensor like(Ctx& ctx, const Tensor& x, Shape shape) {
  Tensor y = ctx.tensor(shape);
  if (shape[0] == x.dim(0)) y.set_row_map(x.row_map());
  return y;
}

MatmulWeights without_inputs(const Ctx& ctx, const PackedMatrix& w, int64_t rows) {
  MatmulWeights out;
  out.args = matmul_args(w, rows);
  out.args.ahead_one = ctx.tuning.ahead_one;
  const LayoutKernels& kernels = ctx.cpu.find(w.layout);
  out.run = ctx.precision == Precision::exact || kernels.rounded == nullptr ? kernels.exact : kernels.rounded;
  return out;
}

MatmulWeights matmul_weights(Ctx& ctx, const Tensor& x, const PackedMatrix& w) {
  const Rounding rounding = rounding_of(ctx, w);
  StorageRef own;
  RoundedRows rounded;
  const float* values = ctx.measuring() ? nullptr : x.data<float>();
  if (rounding != Rounding::none)
    rounded = w.order ? rounded_in_order(ctx, x, rounding, w, own) : rounded_of(ctx, x, rounding);
  else if (w.order)
    values = values_in_order(ctx, x, w, own);
  MatmulWeights out;
  if (!ctx.measuring()) out = without_inputs(ctx, w, x.dim(0));
  out.args.rounded = rounded;
  out.args.x = values;
  out.own = std::move(own);
  return out;
}

Tensor matmul(Ctx& ctx, const Tensor& x, const PackedMatrix& w) {
  assert(x.shape().rank() == 2 && x.dim(1) == w.columns);
  Tensor y = like(ctx, x, {x.dim(0), w.rows});
  MatmulWeights m = matmul_weights(ctx, x, w);
  watch(ctx, w, x);
  if (ctx.measuring()) return y;
  m.args.y = y.data<float>();
  ctx.pool.for_each(w.panels(), matmul_grain(w), [&](int64_t b, int64_t e) { m.run(m.args, b, e); });
  return y;
}

Tensor embedding(Ctx& ctx, std::span<const int32_t> ids, const PackedMatrix& w) {
  Tensor y = ctx.tensor({int64_t(ids.size()), w.columns});
  if (ctx.measuring()) return y;
  ctx.pool.for_each(int64_t(ids.size()), row_grain(w.columns * 4), [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) unpack_row(w, ids[size_t(i)], y.data<float>() + i * w.columns);
  });
  return y;
}

Tensor rms_norm(Ctx& ctx, const Tensor& x, const Tensor& weight, float eps) {
  const int64_t width = x.dim(-1), rows = x.elements() / width;
  assert(weight.elements() == width);
  Tensor y = like(ctx, x, x.shape());
  if (ctx.measuring()) return y;
  ctx.pool.for_each(rows, row_grain(width * 8), [&](int64_t b, int64_t e) {
    ctx.cpu.rms_norm(x.data<float>(), weight.data<float>(), eps, y.data<float>(), width, b, e);
  });
  return y;
}

Tensor add(Ctx& ctx, const Tensor& a, const Tensor& b) {
  assert(a.shape() == b.shape());
  Tensor y = like(ctx, a, a.shape());
  if (ctx.measuring()) return y;
  ctx.pool.for_each(a.elements(), kGrainBytes / 8, [&](int64_t begin, int64_t end) {
    ctx.cpu.add(a.data<float>(), b.data<float>(), y.data<float>(), begin, end);
  });
  return y;
}

Tensor add_bias(Ctx& ctx, const Tensor& x, const Tensor& bias) {
  const int64_t width = x.dim(-1);
  assert(bias.elements() == width);
  Tensor y = like(ctx, x, x.shape());
  if (ctx.measuring()) return y;
  ctx.pool.for_each(x.elements() / width, row_grain(width * 8), [&](int64_t b, int64_t e) {
    ctx.cpu.add_bias(x.data<float>(), bias.data<float>(), y.data<float>(), width, b, e);
  });
  return y;
}

Tensor silu_mul(Ctx& ctx, const Tensor& gate, const Tensor& up) {
  assert(gate.shape() == up.shape());
  Tensor y = like(ctx, gate, gate.shape());
  if (ctx.measuring()) return y;
  ctx.pool.for_each(gate.elements(), kGrainBytes / 16,
                    [&](int64_t b, int64_t e) { ctx.cpu.silu_mul(gate.data<float>(), up.data<float>(), y.data<float>(), b, e); });
  return y;
}

Tensor gather_rows(Ctx& ctx, const Tensor& x, std::span<const int32_t> rows) {
  const int64_t width = x.dim(1), n = int64_t(rows.size());
  Tensor y = ctx.tensor({n, width});
  StorageRef map = ctx.arena.bytes(size_t(n) * sizeof(int32_t));
  if (!ctx.measuring()) {
    auto* to = reinterpret_cast<int32_t*>(map->data());
    for (int64_t i = 0; i < n; ++i) {
      const int32_t from = rows[size_t(i)];
      std::memcpy(y.data<float>() + i * width, x.data<float>() + from * width, size_t(width) * sizeof(float));
      to[i] = x.rows() ? x.rows()[from] : from;
    }
  }
  y.set_row_map(std::move(map));
  return y;
}

void rope(Ctx& ctx, Tensor& x, const Tensor& cosines, const Tensor& sines, RopeStyle style) {
  const int64_t heads = x.dim(1), width = x.dim(2), rotated = cosines.dim(1) * 2;
  assert(rotated <= width && cosines.dim(0) == x.dim(0));
  if (ctx.measuring()) return;
  ctx.pool.for_each(x.dim(0), row_grain(heads * width * 4), [&](int64_t b, int64_t e) {
    ctx.cpu.rope(x.data<float>(), cosines.data<float>(), sines.data<float>(), style, heads, width, rotated, b, e);
  });
}

}  // namespace gale::ops
