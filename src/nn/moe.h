#pragma once
#include <memory>

#include "nn/linear.h"

namespace gale {

class Config;
class Weights;

/// What a family says of its experts.
struct MoeShape {
  int64_t hidden = 0, intermediate = 0;  ///< widths: of the rows that come in and go out, inside one expert
  int64_t experts = 0, used = 0;         ///< in all, by one row
  bool renormalize = false;              ///< the weights of the chosen experts sum to 1
};

/// More experts than any model has: a count above it is nonsense or an attack.
constexpr int64_t kMostExperts = 65536;

/// Each row goes through the few gated experts that a router chooses for it. Shazeer et al., "Outrageously Large Neural
/// Networks", 2017; Jiang et al., "Mixtral of Experts", 2024.
class Moe {
 public:
  Moe() = default;
  /// Reads gate (the router) and experts.{gate,up,down}_proj. Throws Error{unsupported} where the config's "hidden_act" is not
  /// silu, Error{corrupt} where a row is to use more experts than there are.
  Moe(const Config& config, const Weights& weights, const MoeShape& shape);
  Tensor operator()(Ctx& ctx, const Tensor& x) const {
    const Routing routing = ops::route(ctx, router_(ctx, x), shape_.used, shape_.renormalize);
    return ops::experts_down(ctx, ops::experts_gate_up(ctx, x, *gate_, *up_, routing), *down_, routing);
  }

 private:
  MoeShape shape_;
  Linear router_;
  std::shared_ptr<const ExpertMatrix> gate_, up_, down_;
};

}  // namespace gale
