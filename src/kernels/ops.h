#pragma once
#include <span>

#include "kernels/ctx.h"
#include "kernels/matrix.h"

namespace gale {

/// Options of attention; K width and V width may differ.
struct AttentionOptions {
  float scale = 1;
  float softcap = 0;              ///< scores become softcap x tanh(score / softcap); 0: none
  int32_t window = 0;             ///< slots a row sees, its own included; 0: all in its range
  const Tensor* sinks = nullptr;  ///< f32 [heads]
  const Tensor* bias = nullptr;   ///< f32 [heads, n], added at index clamp(slot seen - own slot + bias_center, 0, n - 1)
  int64_t bias_center = 0;
};

/// The whole vocabulary of maths. Activations are f32; outputs come from ctx.arena and carry the row map of their first input.
/// Shapes are the model's own doing and asserted, not thrown: what a checkpoint gets wrong is found at load.
namespace ops {

/// [rows, out] = x [rows, in] W^T. Rounds x for the layout first, once per distinct x: the rounded form stays with the tensor.
Tensor matmul(Ctx&, const Tensor& x, const PackedMatrix& w);
/// [ids, in]: rows of a matrix as f32. REQUIRES: ids within [0, rows of w).
Tensor embedding(Ctx&, std::span<const int32_t> ids, const PackedMatrix& w);
/// y = x / sqrt(mean(x^2) + eps) x weight over the last dimension. Zhang and Sennrich, "Root Mean Square Layer Normalization",
/// 2019.
Tensor rms_norm(Ctx&, const Tensor& x, const Tensor& weight, float eps);
Tensor add(Ctx&, const Tensor& a, const Tensor& b);
/// x [rows, n] + bias [n]
Tensor add_bias(Ctx&, const Tensor& x, const Tensor& bias);
/// silu(gate) x up
Tensor silu_mul(Ctx&, const Tensor& gate, const Tensor& up);
/// Rows of x in the given order; composes the row map.
Tensor gather_rows(Ctx&, const Tensor& x, std::span<const int32_t> rows);
/// In place on x [rows, heads, width]; cosines, sines: f32 [rows, rotated / 2]. Su et al., "RoFormer", 2021.
void rope(Ctx&, Tensor& x, const Tensor& cosines, const Tensor& sines, RopeStyle style);
/// Writes k [rows, kv heads, k width] and v to the cache, then softmax(q k) v over what each row sees: [rows, heads x v width].
Tensor attention(Ctx&, const Tensor& q, const Tensor& k, const Tensor& v, const KvPages& pages, const KvRows& rows,
                 const AttentionOptions& options);

}  // namespace ops
}  // namespace gale
