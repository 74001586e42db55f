#pragma once
#include <memory>

#include "kernels/ops.h"

namespace gale {

/// y = x W^T (+ bias). Formats, adapters and tensor parallelism live in here, so that every family has all of them.
class Linear {
 public:
  Linear() = default;
  Linear(std::shared_ptr<const PackedMatrix> weight, Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {}

  Tensor operator()(Ctx& ctx, const Tensor& x) const {
    Tensor y = ops::matmul(ctx, x, *weight_);
    return bias_ ? ops::add_bias(ctx, y, bias_) : y;
  }
  explicit operator bool() const { return weight_ != nullptr; }
  int64_t in() const { return weight_->columns; }
  int64_t out() const { return weight_->rows; }
  const PackedMatrix& weight() const { return *weight_; }

 private:
  std::shared_ptr<const PackedMatrix> weight_;
  Tensor bias_;  // f32 [out], or null
};

}  // namespace gale
