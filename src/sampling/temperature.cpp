#include <cmath>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

class Temperature final : public SamplerStage {
 public:
  explicit Temperature(float temperature) : temperature_(temperature) {}

  /// Counted from the largest logit, so that no temperature, however small, makes an infinity of it.
  void apply(std::vector<Candidate>& candidates, const SamplingState&) override {
    const float largest = largest_logit(candidates);
    if (std::isinf(largest)) return;
    for (Candidate& c : candidates) c.logit = c.logit == largest ? 0 : (c.logit - largest) / temperature_;
  }
  Stage clone() const override { return std::make_unique<Temperature>(*this); }

 private:
  float temperature_;
};

}  // namespace

Stage temperature(float temperature) { return std::make_unique<Temperature>(temperature); }

}  // namespace gale::stages
