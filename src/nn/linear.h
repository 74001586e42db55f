#pragma once
#include <array>
#include <memory>

#include "kernels/ops.h"

namespace gale {

/// y = x W^T (+ bias). Formats, adapters and tensor parallelism live in here, so that every family has all of them.
class Linear {
 public:
  Linear() = default;
  Linear(std::shared_ptr<const PackedMatrix> weight, Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {}

  Tensor operator()(Ctx& ctx, const Tensor& x) const { return finish(ctx, ops::matmul(ctx, x, *weight_)); }
  /// Each of them of one x, in one pass over the threads.
  template <size_t N>
  friend std::array<Tensor, N> together(Ctx& ctx, const Tensor& x, const std::array<const Linear*, N>& linears) {
    std::array<const PackedMatrix*, N> weights;
    for (size_t i = 0; i < N; ++i) weights[i] = linears[i]->weight_.get();
    std::array<Tensor, N> out;
    ops::matmuls(ctx, x, weights, out);
    for (size_t i = 0; i < N; ++i) out[i] = linears[i]->finish(ctx, out[i]);
    return out;
  }
  explicit operator bool() const { return weight_ != nullptr; }
  /// True where it is its weight and nothing else.
  bool plain() const { return !bias_; }
  int64_t in() const { return weight_->columns; }
  int64_t out() const { return weight_->rows; }
  const PackedMatrix& weight() const { return *weight_; }

 private:
  Tensor finish(Ctx& ctx, const Tensor& y) const { return bias_ ? ops::add_bias(ctx, y, bias_) : y; }

  std::shared_ptr<const PackedMatrix> weight_;
  Tensor bias_;  // f32 [out], or null
};

}  // namespace gale
