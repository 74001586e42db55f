#pragma once
#include <cstdint>

#include "gale/engine.h"
#include "models/model.h"

namespace gale {

struct KvPlan {
  int64_t context = 0;  ///< slots of one sequence
  int64_t blocks = 0;   ///< of the pool, enough for one whole context
};

/// Sizes the KV pool. `available`: bytes of memory free, 0 where unknown. A context that nobody asked for shrinks to what fits,
/// with a warning; one that was asked for is refused. Throws Error{invalid_argument} or Error{out_of_memory}.
KvPlan plan_kv(const EngineOptions& options, int64_t block_bytes, int64_t max_positions, int64_t available);

/// Where the activations of the largest step lie, all of its rows wanted: what the arena is made from, and enough for every
/// smaller step (docs/why/memory.md).
Arena::Plan plan_scratch(const Model& model, const CpuKernels& cpu, ThreadPool& pool, Precision precision, KvType kv_type,
                         int64_t step_tokens);

}  // namespace gale
