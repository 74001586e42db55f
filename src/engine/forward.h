#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <span>

#include "models/model.h"

namespace gale {

/// Logits are computed for at most this many rows at a time: with a large vocabulary they are the largest tensor of a step.
constexpr int64_t kLogitRows = 64;

/// One step of the model: use(i, logits) for logits f32 [n, vocab] of batch.wanted[i, i + n), in order. However few rows are
/// wanted they go through a slab: so the requests to the arena are those of the largest step, as far as they go.
template <class Use>
void forward(Ctx& ctx, const Model& model, const Batch& batch, KvCache& kv, Use&& use, Taps* taps = nullptr) {
  ctx.arena.begin_step();
  const Tensor hidden = model.hidden(ctx, batch, kv, taps);
  const int64_t wanted = int64_t(batch.wanted.size());
  for (int64_t first = 0; first < wanted; first += kLogitRows) {
    std::array<int32_t, kLogitRows> rows;
    std::iota(rows.begin(), rows.end(), int32_t(first));
    const auto count = size_t(std::min(wanted - first, kLogitRows));
    use(first, model.head(ctx, ops::gather_rows(ctx, hidden, std::span(rows).first(count))));
  }
}

}  // namespace gale
