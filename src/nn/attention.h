#pragma once
#include "kvcache/kvcache.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/rope.h"

namespace gale {

class Config;
class Weights;

/// What a family says of its attention.
struct AttentionShape {
  int64_t hidden = 0;                          ///< width of the rows that come in and go out
  int64_t heads = 0, kv_heads = 0, width = 0;  ///< query heads, key/value heads, width of one head
  int32_t window = 0;                          ///< slots a row sees, 0: all
  float scale = 0;                             ///< 0: 1 / sqrt(width)
};

/// The config's window of a layer, 0 for none: what the families take by default is settled there, a window holds on every layer,
/// or on those that "layer_types" names.
int32_t window_of(const Config& config, int64_t layer);

/// Grouped-query attention with rope. Biases and norms of q and k are used where the checkpoint has them.
class Attention {
 public:
  Attention() = default;
  /// Reads q_proj, k_proj, v_proj, o_proj, and q_norm, k_norm where present.
  Attention(const Weights& weights, const AttentionShape& shape, int32_t layer, float eps);

  Tensor operator()(Ctx& ctx, const Tensor& x, const Batch& batch, KvCache& kv, const Rope& rope, const RopeRows& angles) const;
  CacheLayer cache_layer() const;

 private:
  Linear q_, k_, v_, o_;
  RmsNorm q_norm_, k_norm_;
  AttentionShape shape_;
  int32_t layer_ = 0;
};

}  // namespace gale
