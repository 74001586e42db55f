#pragma once
#include <memory>

#include "checkpoint/checkpoint.h"
#include "engine/weight_plan.h"
#include "gale/engine.h"

namespace gale {

/// The options with their type put in the place of "auto": the best of q8_0, q6_k, q5_k_m, q4_k_m, q3_k_m and q2_k with which
/// weights, scratch and a context (options.context, or 8192 slots where the model has as many) take no more than nine tenths of
/// the memory that is free. A model that is quantized already stays as it is. Logs what was chosen and why. Throws
/// Error{out_of_memory} where not even q2_k fits, Error{invalid_argument} for random weights, which have no type to begin with.
/// Options without "auto" come back as they are. `files`: of the recipe, where they are read already.
EngineOptions resolve_auto(EngineOptions options, const std::shared_ptr<const Checkpoint>& checkpoint,
                           const std::shared_ptr<const QuantFiles>& files = nullptr);

/// The same for a recipe that makes a file: what suits this machine.
QuantRecipe resolve_auto(QuantRecipe recipe, const std::string& model, const std::shared_ptr<const Checkpoint>& checkpoint);

}  // namespace gale
