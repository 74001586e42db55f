#include "engine/sizing.h"

#include <algorithm>

#include "base/checked.h"
#include "base/log.h"
#include "engine/forward.h"

namespace gale {
namespace {

constexpr int64_t kUnknownMemory = int64_t(8) << 30;  // what to plan with where the system does not say
constexpr int64_t kLongestContext = int64_t(1) << 30;

int64_t bytes_of(const std::vector<KvNeed>& needs) {
  int64_t bytes = 0;
  for (const KvNeed& need : needs) bytes = checked_add(bytes, checked_mul(need.blocks, need.block_bytes, "KV cache"), "KV cache");
  return bytes;
}

// Bytes for the pools, where one sequence takes `needed`.
int64_t pool_bytes(const EngineOptions& options, int64_t least, int64_t needed, int64_t available) {
  if (options.kv_bytes > 0) {
    require(options.kv_bytes >= least, ErrorCode::invalid_argument,
            "a KV cache of {} bytes does not hold one block of {} slots, which takes {}", options.kv_bytes, options.kv_block,
            least);
    return options.kv_bytes;
  }
  const int64_t all = checked_mul(needed, options.max_sequences, "KV cache"), half = std::max(least, available / 2);
  if (options.context == 0 || half >= needed) return std::min(all, half);
  // Asked for by name: one full context may take nearly everything that is free.
  require(needed <= available / 10 * 9, ErrorCode::out_of_memory,
          "a context of {} tokens takes {} bytes of KV cache, but {} are free; lower the context or take a smaller KV type",
          options.context, needed, available);
  return needed;
}

// Every pool gets the same share of what one sequence takes of it.
void share_out(KvPlan& plan, const std::vector<KvNeed>& needs, int64_t bytes) {
  const double sequences = double(bytes) / double(std::max<int64_t>(bytes_of(needs), 1));
  for (const KvNeed& need : needs) {
    const auto blocks = int64_t(sequences * double(need.blocks) * (1 + 1e-12));
    plan.blocks.push_back(std::clamp<int64_t>(blocks, need.blocks, INT32_MAX / 4));
    plan.bytes += plan.blocks.back() * need.block_bytes;
  }
}

}  // namespace

KvPlan plan_kv(const EngineOptions& options, const KvNeeds& needs, int64_t max_positions, int64_t available) {
  require(options.context >= 0 && options.context <= kLongestContext, ErrorCode::invalid_argument,
          "a context of {} is out of range; 0 takes what the model was made for ({})", options.context, max_positions);
  require(options.kv_bytes >= 0, ErrorCode::invalid_argument, "a KV cache of {} bytes is out of range", options.kv_bytes);
  if (available <= 0) available = kUnknownMemory;
  KvPlan plan;
  plan.context = options.context > 0 ? options.context : std::min(max_positions, kLongestContext);
  if (plan.context > max_positions)
    log_warning("a context of {} tokens is beyond the {} the model was made for; expect poor text there", plan.context,
                max_positions);
  const int64_t needed = bytes_of(needs(plan.context)), bytes = pool_bytes(options, bytes_of(needs(1)), needed, available);
  if (bytes < needed) {
    require(options.context == 0, ErrorCode::out_of_memory,
            "a context of {} tokens takes {} bytes of KV cache, but its size is set to {}", options.context, needed,
            options.kv_bytes);
    int64_t fits = 1, beyond = ceil_div(plan.context, options.kv_block);  // blocks
    while (beyond - fits > 1) {
      const int64_t middle = (fits + beyond) / 2;
      (bytes_of(needs(middle * options.kv_block)) <= bytes ? fits : beyond) = middle;
    }
    plan.context = fits * options.kv_block;
    log_warning("the context is {} tokens instead of {}: the KV cache has {} bytes", plan.context, max_positions, bytes);
  }
  share_out(plan, needs(plan.context), bytes);
  return plan;
}

Arena::Plan plan_scratch(const Model& model, const CpuKernels& cpu, ThreadPool& pool, Precision precision, const KvFormat& kv,
                         int64_t step_tokens, std::vector<int32_t> tapped) {
  KvCache cache(model.cache_layers(), kv, int64_t(1), true);
  Arena arena = Arena::measuring();
  Ctx ctx{arena, pool, cpu, precision};
  const std::vector<int32_t> ids(static_cast<size_t>(step_tokens));
  Batch batch;
  batch.add_causal(cache.open(), ids.data(), int32_t(step_tokens), 0);
  for (int32_t r = 0; r < int32_t(step_tokens); ++r) batch.wanted.push_back(r);
  Taps taps{.layers = std::move(tapped), .rows = {}};
  forward(ctx, model, batch, cache, [](int64_t, const Tensor&) {}, &taps);
  taps.rows.clear();
  return arena.plan();
}

}  // namespace gale
