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

}  // namespace gale
