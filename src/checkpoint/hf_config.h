#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"

namespace gale {

/// Brings the rope settings of a Hugging Face config (and of its "text_config") into one form: transformers 5 writes
/// "rope_parameters" {rope_type, rope_theta, ...}, older ones "rope_theta" and "rope_scaling" {"type" or "rope_type", ...}.
/// Afterwards "rope_theta" is set where either said it and "rope_scaling" is null or has "rope_type". Parameters given per layer
/// type (gemma3) are left as they are. Throws Error{corrupt} where they are no object.
///
/// Then fills in what transformers' configuration class of the family (llama, mistral, mixtral, qwen2, qwen3, qwen3_moe) takes
/// where the file is silent, and settles what the families read differently:
///   - "sliding_window" is null, or holds on every layer, or on those that "layer_types" (then one for each layer) names;
///   - "partial_rotary_factor", which these families ignore, is gone,
///   - qwen3_moe has "num_experts" (transformers 5: "num_local_experts") and, for each layer, "sparse" or "dense" in
///     "mlp_layer_types" where any is dense ("mlp_only_layers", "decoder_sparse_step").
/// Throws Error{corrupt} for "layer_types" that do not fit the layers, Error{unsupported} for kinds of layer nobody knows, naming
/// `where` (the file). Doing it twice changes nothing.
void normalize_config(Json& config, std::string_view where = "config");

/// "dense" or "sparse" for each layer.
Json mlp_layer_types(const std::vector<bool>& dense);

/// More layers than any model has: a count above it is nonsense or an attack.
constexpr int64_t kMostLayers = 65536;

/// What llama3's rope scaling divides each of the head_dim / 2 frequencies by: the tensor "rope_freqs.weight" of GGUF files.
/// Empty where the config scales in another way or not at all. Throws Error{corrupt} for values that make no sense.
std::vector<float> rope_factors(const Json& config);

}  // namespace gale
