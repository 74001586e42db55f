#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_fwd.h"
#include "checkpoint/gguf.h"

namespace gale {

/// A GGUF seen in Hugging Face's terms: one table per `general.architecture` gives the config keys, the tensor names and which
/// rows the file interleaves; an architecture without a table falls back to a generic probe of the common tensors and logs one
/// warning.
///
/// Names are those of Hugging Face's llama: "model.layers.N.self_attn.q_proj.weight". Experts, which GGUF fuses into one 3-D
/// tensor [expert, out, in], are "model.layers.N.mlp.experts.{gate,up,down}_proj.weight" and their router
/// "model.layers.N.mlp.gate.weight" for every family; older files with one tensor per expert give
/// "model.layers.N.mlp.experts.E.gate_proj.weight". What the table does not know keeps its own name, under "model.layers.N." for
/// a layer's. llama3's rope factors stay "rope_freqs.weight". The rows of llama's q and k are marked by
/// RawTensor::interleaved_heads; their biases are copied into Hugging Face's order.
struct GgufTranslation {
  std::shared_ptr<const Json> config;
  std::vector<RawTensor> tensors;
};
/// Throws Error{unsupported} listing the known architectures where the common tensors are missing too. Case does not matter.
/// A file without tensors (a vocabulary) gives a config only.
GgufTranslation translate_gguf(const GgufFile& file);

/// "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight", nullopt for what GGUF has no name for.
std::optional<std::string> gguf_tensor_name(std::string_view hf_name);

/// The reverse, for writers.
struct GgufTarget {
  std::string architecture;                                 ///< "llama", "qwen2", "qwen3", "qwen3moe"
  std::vector<GgufEntry> metadata;                          ///< general.architecture and <arch>.* from the config
  std::vector<std::pair<std::string, std::string>> names;   ///< Hugging Face tensor name -> GGUF name, see below
  std::vector<std::pair<std::string, int32_t>> interleave;  ///< Hugging Face tensor name -> heads whose rows the file interleaves
  /// What a writer declares as "rope_freqs.weight", f32 [head_dim / 2], where the config asks for llama3's rope scaling and the
  /// source has no such tensor; else empty.
  std::vector<float> rope_factors;
};
/// `names` has every tensor given, but for those other engines compute themselves (rotary_emb.inv_freq) and a head that the
/// config ties to the embedding. Experts that are a tensor each stand together, by number, under the one name of the fused tensor
/// that they become. In a file, row interleaved_row(i, rows, heads) of an interleaved matrix is row i of Hugging
/// Face's (for biases read element for row). Throws Error{unsupported} naming the architecture or the tensor that GGUF has no
/// name for.
GgufTarget gguf_target(const Checkpoint& source);
/// The same for logical names: a quantized checkpoint's "q_proj.qweight", "q_proj.scales" ... count as one "q_proj.weight".
GgufTarget gguf_target(const Json& config, std::span<const std::string> names);

}  // namespace gale
