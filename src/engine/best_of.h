#pragma once
#include <memory>

#include "gale/engine.h"

namespace gale {

/// The events of the `wanted` best of a request's choices, one after the other, the best first: those with the highest logprob a
/// token, as OpenAI's best_of has it, and of equals the first; choices that failed come last. Nothing comes before all have
/// ended. REQUIRES: the request was for `generated` choices with logprobs. `logprobs`: they are handed on.
std::unique_ptr<EventStream> best_of(std::unique_ptr<EventStream> choices, int32_t generated, int32_t wanted, bool logprobs);

}  // namespace gale
