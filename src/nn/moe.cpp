#include "nn/moe.h"

#include "base/fail.h"
#include "nn/config.h"
#include "nn/weights.h"

namespace gale {

Moe::Moe(const Config& config, const Weights& w, const MoeShape& shape)
    : shape_(shape),
      router_(w.linear("gate", shape.experts, shape.hidden)),
      gate_(w["experts"].experts("gate_proj", {shape.experts, shape.intermediate, shape.hidden})),
      up_(w["experts"].experts("up_proj", {shape.experts, shape.intermediate, shape.hidden})),
      down_(w["experts"].experts("down_proj", {shape.experts, shape.hidden, shape.intermediate})) {
  config.choice("hidden_act", "silu", {"silu", "swish"});  // two names of one function
  require(shape.used <= shape.experts, ErrorCode::corrupt, "{}: \"num_experts_per_tok\" is {}, but there are {} experts",
          config.where(), shape.used, shape.experts);
}

}  // namespace gale
