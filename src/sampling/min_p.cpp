#include <cmath>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Nguyen et al., "Turning Up the Heat: Min-p Sampling", 2024.
class MinP final : public SamplerStage {
 public:
  explicit MinP(float p) : step_(std::log(double(p))) {}

  void apply(std::vector<Candidate>& candidates, const SamplingState&) override {
    const float largest = largest_logit(candidates);
    if (std::isinf(largest)) return;
    const double lowest = double(largest) + step_;
    std::erase_if(candidates, [&](const Candidate& c) { return double(c.logit) < lowest; });
  }
  Stage clone() const override { return std::make_unique<MinP>(*this); }

 private:
  double step_;  // ln p
};

}  // namespace

Stage min_p(float p) { return std::make_unique<MinP>(p); }

}  // namespace gale::stages
