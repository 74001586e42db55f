#include <cmath>

#include "base/rng.h"
#include "sampling/stages.h"

namespace gale::stages {
namespace {

class Draw final : public SamplerStage {
 public:
  void apply(std::vector<Candidate>& candidates, const SamplingState& state) override {
    candidates[0] = candidates[pick(candidates, state)];
    candidates.resize(1);
  }
  Stage clone() const override { return std::make_unique<Draw>(); }

 private:
  size_t pick(const std::vector<Candidate>& candidates, const SamplingState& state) {
    const float largest = largest_logit(candidates);
    if (std::isinf(largest)) return 0;  // nothing can be chosen, something must be
    sums_.clear();
    double total = 0;
    for (const Candidate& c : candidates) sums_.push_back(total += std::exp(double(c.logit) - double(largest)));
    const double at = total * philox_uniform(state.seed, state.choice, state.position, uint32_t(DrawStage::token));
    for (size_t i = 0; i < sums_.size(); ++i)
      if (at < sums_[i]) return i;
    // Rounding carried `at` to the total itself: the last token with any weight.
    size_t i = sums_.size() - 1;
    while (i > 0 && sums_[i - 1] == total) --i;
    return i;
  }

  std::vector<double> sums_;  // scratch
};

}  // namespace

Stage draw() { return std::make_unique<Draw>(); }

}  // namespace gale::stages
