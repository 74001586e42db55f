#pragma once
#include <memory>

#include "checkpoint/checkpoint.h"
#include "engine/runtime.h"

namespace gale::cli {

/// What a load with these options would take, found without reading a byte of the weights.
struct Fit {
  Prediction load;
  int64_t step_tokens = 0;   ///< rows that the scratch is for
  int64_t free_context = 0;  ///< tokens of KV that fit beside weights and scratch, 0: not even those fit
};
/// Throws Error{unsupported} for architectures and weight formats that cannot be run.
Fit measure_fit(const EngineOptions& options, std::shared_ptr<const Checkpoint> checkpoint);

}  // namespace gale::cli
