#pragma once
#include "kernels/ops.h"

namespace gale {

/// Root mean square norm over the last dimension.
class RmsNorm {
 public:
  RmsNorm() = default;
  RmsNorm(Tensor weight, float eps) : weight_(std::move(weight)), eps_(eps) {}
  Tensor operator()(Ctx& ctx, const Tensor& x) const { return ops::rms_norm(ctx, x, weight_, eps_); }
  explicit operator bool() const { return bool(weight_); }
  int64_t width() const { return weight_.elements(); }

 private:
  Tensor weight_;  // f32 [width]
  float eps_ = 0;
};

}  // namespace gale
