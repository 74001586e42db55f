#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "checkpoint/checkpoint.h"

namespace gale {

/// One form for the tensors of a mixture of experts, whatever the age of the files and whoever wrote them.
///
/// - Mixtral's files say "block_sparse_moe.gate", "block_sparse_moe.experts.E.w1" (gate), "w3" (up) and "w2" (down): they become
///   "mlp.gate" and "mlp.experts.E.{gate,up,down}_proj", as in the other families and in transformers 5.
/// - Modules of transformers 5 hold "mlp.experts.gate_up_proj" [experts, 2 x out, in] and "mlp.experts.down_proj", without
///   ".weight": the first becomes a gate_proj and an up_proj for each expert, which share its bytes, the second gets its
///   ".weight".
/// - MLX (mlx_lm/models/switch_layers.py) stacks "switch_mlp.up_proj.{weight,scales,biases}" [experts, out, ...]: those become
///   "experts.E.up_proj.weight" and so on, and what the config says of them under their names goes along.
/// - gpt-oss weaves gate and up: "gate_up_proj_blocks" [experts, 2 x out, in / 32, 16], "gate_up_proj_scales" and
///   "gate_up_proj_bias" have the gate's rows at even places and the up projection's at odd ones, and so has the last dimension
///   of "gate_up_proj" [experts, in, 2 x out] in its bf16 form, where "down_proj" is [experts, in, out] too (transformers,
///   models/gpt_oss/modeling_gpt_oss.py). They become "experts.E.gate_proj.blocks" [out, in / 2] and so on, woven RawTensors over
///   the same bytes, and "experts.gate_proj.bias" [experts, out].
///
/// Only for the families whose module is known to lie so. Throws Error{corrupt} where a tensor cannot be taken apart.
/// Private to this room.
void normalize_experts(Json& config, std::vector<RawTensor>& tensors);

/// "model.layers.0.mlp.experts.7.up_proj" as Mixtral's files spell it, "model.layers.0.block_sparse_moe.experts.7.w3"; any other
/// name itself.
std::string published_expert_name(const std::string& name);

/// "model.layers.0.mlp.experts.7.up_proj.weight" taken apart.
struct ExpertName {
  std::string fused;  ///< without the number
  int64_t expert;
};
/// nullopt for what is not one expert's.
std::optional<ExpertName> expert_name(std::string_view name);

}  // namespace gale
