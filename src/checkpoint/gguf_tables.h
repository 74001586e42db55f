#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/json_fwd.h"
#include "checkpoint/gguf.h"

namespace gale {

/// One architecture of GGUF and what Hugging Face calls it. Private to this room, like all of this header.
struct GgufArchitecture {
  std::string_view gguf;        ///< "qwen2"
  std::string_view hf_class;    ///< "Qwen2ForCausalLM"
  std::string_view model_type;  ///< "qwen2"
  bool interleaved;             ///< the file interleaves q's and k's rows for rope
};

std::span<const GgufArchitecture> gguf_architectures();
/// Case does not matter; nullptr where there is no table.
const GgufArchitecture* find_gguf_architecture(std::string_view name);
/// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight". Unknown names stay, see GgufTranslation.
std::string hf_tensor_name(std::string_view gguf_name);

std::string lower_case(std::string_view text);
/// general.architecture as the file spells it. Throws Error{corrupt} where it is missing.
std::string gguf_architecture_name(const GgufFile& file);
/// The Hugging Face style config of a file; `known` is nullptr for the generic fallback.
Json gguf_config(const GgufFile& file, const GgufArchitecture* known);

}  // namespace gale
