#include "nn/mlp.h"

#include "nn/weights.h"

namespace gale {

GatedMlp::GatedMlp(const Weights& w, int64_t hidden, int64_t intermediate)
    : gate_(w.linear("gate_proj", intermediate, hidden)),
      up_(w.linear("up_proj", intermediate, hidden)),
      down_(w.linear("down_proj", hidden, intermediate)) {}

}  // namespace gale
