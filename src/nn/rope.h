#pragma once
#include <vector>

#include "batch/batch.h"
#include "kernels/ops.h"
#include "nn/config.h"

namespace gale {

/// Angles of one batch, shared by all layers: f32 [rows, rotated / 2] each.
struct RopeRows {
  Tensor cosines, sines;
};

/// Rotary position embedding: frequencies from the config, never from the current length, so that a row's bits do not depend on
/// what follows it.
class Rope {
 public:
  Rope() = default;
  /// "rope_theta", "rope_scaling" (default, linear, llama3), "partial_rotary_factor". `factors`: what a GGUF's rope_freqs.weight
  /// divides the frequencies by, f32 [rotated / 2], or null. Throws Error{unsupported} listing the known scalings.
  Rope(const Config& config, int64_t head_width, const Tensor& factors, RopeStyle style = RopeStyle::halves);

  RopeRows rows(Ctx& ctx, const Batch& batch) const;
  void rotate(Ctx& ctx, Tensor& x, const RopeRows& rows) const { ops::rope(ctx, x, rows.cosines, rows.sines, style_); }
  const std::vector<float>& frequencies() const { return frequencies_; }

 private:
  std::vector<float> frequencies_;  // [rotated / 2], radians per position
  RopeStyle style_ = RopeStyle::halves;
};

}  // namespace gale
