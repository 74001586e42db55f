#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "models/model.h"

namespace gale {

/// Logits are computed for at most this many rows at a time: with a large vocabulary they are the largest tensor of a step.
constexpr int64_t kLogitRows = 64;

/// One step of the model: use(i, logits) for logits f32 [n, vocab] of batch.wanted[i, i + n), in order. However few rows are
/// wanted they go through a slab: so the requests to the arena are those of the largest step, as far as they go.
template <class Use>
void forward(Ctx& ctx, const Model& model, const Batch& batch, KvCache& kv, Use&& use) {
  ctx.arena.begin_step();
  const Tensor hidden = model.hidden(ctx, batch, kv);
  const int64_t wanted = int64_t(batch.wanted.size());
  for (int64_t first = 0; first < wanted; first += kLogitRows) {
    std::vector<int32_t> rows;
    for (int64_t i = first; i < std::min(wanted, first + kLogitRows); ++i) rows.push_back(int32_t(i));
    use(first, model.head(ctx, ops::gather_rows(ctx, hidden, rows)));
  }
}

}  // namespace gale
