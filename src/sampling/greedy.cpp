#include <algorithm>
#include <cmath>
#include <limits>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

class Greedy final : public SamplerStage {
 public:
  void apply(std::vector<Candidate>& candidates, const SamplingState&) override {
    candidates[0] = *std::min_element(candidates.begin(), candidates.end(), more_likely);
    candidates.resize(1);
  }
  Stage clone() const override { return std::make_unique<Greedy>(); }
};

}  // namespace

Stage greedy() { return std::make_unique<Greedy>(); }

float usable_logit(float logit) {
  if (std::isnan(logit)) return -std::numeric_limits<float>::infinity();
  return std::min(logit, std::numeric_limits<float>::max());
}

int32_t argmax(std::span<const float> logits) {
  size_t best = 0;
  float largest = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < logits.size(); ++i)
    if (const float logit = usable_logit(logits[i]); logit > largest) largest = logit, best = i;
  return int32_t(best);
}

float largest_logit(const std::vector<Candidate>& candidates) {
  float largest = -std::numeric_limits<float>::infinity();
  for (const Candidate& c : candidates) largest = std::max(largest, c.logit);
  return largest;
}

}  // namespace gale::stages
