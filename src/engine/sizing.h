#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "gale/engine.h"
#include "models/model.h"

namespace gale {

struct KvPlan {
  int64_t context = 0;          ///< slots of one sequence
  std::vector<int64_t> blocks;  ///< of each pool, enough for one whole context
  int64_t bytes = 0;            ///< of all of them
};
/// KvCache::needs of a sequence of so many slots.
using KvNeeds = std::function<std::vector<KvNeed>(int64_t slots)>;

/// Sizes the KV pools. `available`: bytes of memory free, 0 where unknown. A context that nobody asked for shrinks to what fits,
/// with a warning; one that was asked for is refused. Throws Error{invalid_argument} or Error{out_of_memory}.
KvPlan plan_kv(const EngineOptions& options, const KvNeeds& needs, int64_t max_positions, int64_t available);

/// Where the activations of the largest step lie, all of its rows wanted: what the arena is made from, and enough for every
/// smaller step (docs/why/memory.md). `taps`: layers whose rows are kept for a drafter.
Arena::Plan plan_scratch(const Model& model, const CpuKernels& cpu, ThreadPool& pool, Precision precision, const KvFormat& kv,
                         int64_t step_tokens, std::vector<int32_t> taps = {});

}  // namespace gale
