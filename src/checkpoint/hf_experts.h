#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "checkpoint/checkpoint.h"

namespace gale {

/// One form for the tensors of a mixture of experts, whatever the age of the files.
///
/// Mixtral's files say "block_sparse_moe.gate", "block_sparse_moe.experts.E.w1" (gate), "w3" (up) and "w2" (down): they become
/// "mlp.gate" and "mlp.experts.E.{gate,up,down}_proj", as in the other families and in transformers 5. Modules of transformers 5
/// hold "mlp.experts.gate_up_proj" [experts, 2 x out, in] and "mlp.experts.down_proj", without ".weight": the first becomes a
/// gate_proj and an up_proj for each expert, which share its bytes, the second gets its ".weight". Only for the families whose
/// module is known to lie so; Throws Error{corrupt} where the rows of gate_up_proj cannot be halved.
/// Private to this room.
void normalize_experts(const Json& config, std::vector<RawTensor>& tensors);

/// "model.layers.0.mlp.experts.7.up_proj.weight" taken apart.
struct ExpertName {
  std::string fused;  ///< without the number
  int64_t expert;
};
/// nullopt for what is not one expert's.
std::optional<ExpertName> expert_name(std::string_view name);

}  // namespace gale
