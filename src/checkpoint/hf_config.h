#pragma once
#include <vector>

#include "base/json_fwd.h"

namespace gale {

/// Brings the rope settings of a Hugging Face config (and of its "text_config") into one form: transformers 5 writes
/// "rope_parameters" {rope_type, rope_theta, ...}, older ones "rope_theta" and "rope_scaling" {"type" or "rope_type", ...}.
/// Afterwards "rope_theta" is set where either said it and "rope_scaling" is null or has "rope_type". Parameters given per layer
/// type (gemma3) are left as they are. Throws Error{corrupt} where they are no object.
void normalize_config(Json& config);

/// What llama3's rope scaling divides each of the head_dim / 2 frequencies by: the tensor "rope_freqs.weight" of GGUF files.
/// Empty where the config scales in another way or not at all. Throws Error{corrupt} for values that make no sense.
std::vector<float> rope_factors(const Json& config);

}  // namespace gale
