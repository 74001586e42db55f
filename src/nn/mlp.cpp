#include "nn/mlp.h"

#include "nn/config.h"
#include "nn/weights.h"

namespace gale {

GatedMlp::GatedMlp(const Config& config, const Weights& w, int64_t hidden, int64_t intermediate)
    : gate_(w.linear("gate_proj", intermediate, hidden)),
      up_(w.linear("up_proj", intermediate, hidden)),
      down_(w.linear("down_proj", hidden, intermediate)) {
  config.choice("hidden_act", "silu", {"silu", "swish"});  // two names of one function
}

Tensor GatedMlp::gate_up(Ctx& ctx, const Tensor& x) const {
  if (gate_.plain() && up_.plain()) return ops::gate_up(ctx, x, gate_.weight(), up_.weight());
  const auto [gate, up] = together(ctx, x, std::array{&gate_, &up_});
  return ops::silu_mul(ctx, gate, up);
}

}  // namespace gale
