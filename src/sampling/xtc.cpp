#include <cmath>

#include "base/rng.h"
#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// "Exclude top choices" of p-e-w (text-generation-webui pull request 6335): with a probability, drops every token that has at
/// least the threshold, all but the least likely of them.
class Xtc final : public SamplerStage {
 public:
  Xtc(float probability, float threshold) : probability_(double(probability)), log_threshold_(std::log(double(threshold))) {}

  void apply(Candidates& candidates, const SamplingState& state) override {
    const double u = philox_uniform(state.seed, state.choice, state.position, uint32_t(DrawStage::xtc));
    if (u >= probability_) return;
    const double lowest = double(candidates.largest()) + std::log(candidates.total()) + log_threshold_;
    const auto logits = candidates.logits();
    const auto is_top = [&](size_t i) { return double(logits[i]) >= lowest; };
    size_t least = candidates.size(), tops = 0;
    for (size_t i = 0; i < candidates.size(); ++i)
      if (is_top(i)) {
        ++tops;
        if (least == candidates.size() || logits[i] <= logits[least]) least = i;  // of equal ones the last
      }
    if (tops > 1) candidates.drop_if([&](size_t i) { return i != least && is_top(i); });
  }
  Stage clone() const override { return std::make_unique<Xtc>(*this); }

 private:
  double probability_, log_threshold_;
};

}  // namespace

Stage xtc(float probability, float threshold) { return std::make_unique<Xtc>(probability, threshold); }

}  // namespace gale::stages
