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

/// The same matrix of every expert, [out, in] each, stacked: whole panels of one after those of another.
struct ExpertMatrix {
  PackedMatrix stacked;  ///< rows: experts x (out, rounded up to whole panels)
  int64_t experts = 0, out = 0;
  StorageRef orders;  ///< i32 [experts, in]: the order of each one's columns, see PackedMatrix; null: packed as they come

  int64_t panels() const { return (out + kPanelRows - 1) / kPanelRows; }  ///< of one expert
  /// One of them, in the memory of all; without its order.
  PackedMatrix one(int64_t expert) const;
  const int32_t* column_order(int64_t expert) const {
    return reinterpret_cast<const int32_t*>(orders->data()) + expert * stacked.columns;
  }
};

/// Which experts the rows of a step go to. A row has `used` pairs (row, rank), the heaviest expert first; grouped, they lie
/// expert after expert and, within one, by row. How they are grouped decides what is read together, never a bit of a row.
struct Routing {
  int64_t rows = 0, experts = 0, used = 0;
  Tensor weights;  ///< f32 [rows, used], by rank
  Tensor place;    ///< i32 [rows, used]: where the pair lies among the grouped
  Tensor source;   ///< i32 [rows x used]: the row of a grouped pair
  Tensor begin;    ///< i32 [experts + 1]: those of expert e are [begin[e], begin[e + 1])
  Tensor active;   ///< i32 [experts]: the experts that have any, the first `n_active`
  int64_t n_active = 0;

  int64_t pairs() const { return rows * used; }
};

/// The whole vocabulary of maths. Activations are f32; outputs come from ctx.arena and carry the row map of their first input.
/// Shapes are the model's own doing and asserted, not thrown: what a checkpoint gets wrong is found at load.
namespace ops {

/// [rows, out] = x [rows, in] W^T. Rounds x for the layout first, once per distinct x: the rounded form stays with the tensor.
Tensor matmul(Ctx&, const Tensor& x, const PackedMatrix& w);
/// The same of several matrices, at most 4, of as many columns.
void matmuls(Ctx&, const Tensor& x, std::span<const PackedMatrix* const> weights, std::span<Tensor> out);
/// silu(x gate^T) x (x up^T): [rows, out].
Tensor gate_up(Ctx&, const Tensor& x, const PackedMatrix& gate, const PackedMatrix& up);
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
/// Softmax of the logits f32 [rows, experts], the `used` largest of each row (equal ones by number), their probabilities as
/// weights, with `renormalize` divided by their sum. Shazeer et al., "Outrageously Large Neural Networks", 2017.
Routing route(Ctx&, const Tensor& logits, int64_t used, bool renormalize);
/// silu(x gate^T) x (x up^T) of each pair by its own expert: [pairs, out], grouped. x [rows, in] is rounded once for all experts.
Tensor experts_gate_up(Ctx&, const Tensor& x, const ExpertMatrix& gate, const ExpertMatrix& up, const Routing& routing);
/// [rows, out]: for each row the sum by weight, in order of rank, of h [pairs, in], grouped, through down.
Tensor experts_down(Ctx&, const Tensor& h, const ExpertMatrix& down, const Routing& routing);
/// In place on x [rows, heads, width]; cosines, sines: f32 [rows, rotated / 2]. Su et al., "RoFormer", 2021.
void rope(Ctx&, Tensor& x, const Tensor& cosines, const Tensor& sines, RopeStyle style);
/// Writes k [rows, kv heads, k width] and v to the cache.
void store_kv(Ctx&, const Tensor& k, const Tensor& v, const KvPages& pages, const KvRows& rows);
/// softmax(q k) v over what of the cache each row sees: [rows, heads x v width].
Tensor attend(Ctx&, const Tensor& q, const KvPages& pages, const KvRows& rows, const AttentionOptions& options);
/// Both: writes k [rows, kv heads, k width] and v to the cache, then softmax(q k) v over what each row sees: [rows, heads x v
/// width].
Tensor attention(Ctx&, const Tensor& q, const Tensor& k, const Tensor& v, const KvPages& pages, const KvRows& rows,
                 const AttentionOptions& options);

}  // namespace ops
}  // namespace gale
