#pragma once
#include "nn/linear.h"

namespace gale {

class Config;
class Weights;

/// down(silu(gate(x)) x up(x)). Shazeer, "GLU Variants Improve Transformer", 2020.
class GatedMlp {
 public:
  GatedMlp() = default;
  /// Reads gate_proj, up_proj, down_proj. Throws Error{unsupported} where the config's "hidden_act" is not silu.
  GatedMlp(const Config& config, const Weights& weights, int64_t hidden, int64_t intermediate);
  Tensor operator()(Ctx& ctx, const Tensor& x) const { return down_(ctx, gate_up(ctx, x)); }

 private:
  Tensor gate_up(Ctx& ctx, const Tensor& x) const;

  Linear gate_, up_, down_;
};

}  // namespace gale
