#include "nn/attention.h"

#include <cmath>

#include "nn/config.h"
#include "nn/weights.h"

namespace gale {

int32_t window_of(const Config& config, int64_t layer) {
  if (config.text_at("layer_types", size_t(layer)) == "full_attention") return 0;
  return int32_t(config.integer("sliding_window", 0));
}

Attention::Attention(const Weights& w, const AttentionShape& shape, int32_t layer, float eps)
    : q_(w.linear("q_proj", shape.heads * shape.width, shape.hidden)),
      k_(w.linear("k_proj", shape.kv_heads * shape.width, shape.hidden)),
      v_(w.linear("v_proj", shape.kv_heads * shape.width, shape.hidden)),
      o_(w.linear("o_proj", shape.hidden, shape.heads * shape.width)),
      q_norm_(w.maybe_norm("q_norm", eps, shape.width)),
      k_norm_(w.maybe_norm("k_norm", eps, shape.width)),
      shape_(shape),
      layer_(layer) {
  if (shape_.scale == 0) shape_.scale = float(1.0 / std::sqrt(double(shape.width)));
}

Tensor Attention::operator()(Ctx& ctx, const Tensor& x, const Batch& batch, KvCache& kv, const Rope& rope,
                             const RopeRows& angles) const {
  const int64_t rows = x.dim(0);
  auto [q, k, v] = together(ctx, x, std::array{&q_, &k_, &v_});
  q = q.view({rows, shape_.heads, shape_.width});
  k = k.view({rows, shape_.kv_heads, shape_.width});
  v = v.view({rows, shape_.kv_heads, shape_.width});
  if (q_norm_) q = q_norm_(ctx, q);
  if (k_norm_) k = k_norm_(ctx, k);
  rope.rotate(ctx, q, angles);
  rope.rotate(ctx, k, angles);
  return o_(ctx, kv.attend(ctx, layer_, batch, q, k, v, {.scale = shape_.scale, .window = shape_.window}));
}

CacheLayer Attention::cache_layer() const {
  return SelfLayer{int32_t(shape_.kv_heads), int32_t(shape_.width), int32_t(shape_.width), shape_.window};
}

}  // namespace gale
