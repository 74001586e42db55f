#include <algorithm>
#include <cmath>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Hewitt et al., "Truncation Sampling as Language Model Desmoothing", 2022: drops p < epsilon, never the most likely.
class EpsilonCutoff final : public SamplerStage {
 public:
  explicit EpsilonCutoff(float epsilon) : log_epsilon_(std::log(double(epsilon))) {}
  void apply(Candidates& candidates, const SamplingState&) override {
    const double step = log_epsilon_ + std::log(candidates.total());
    candidates.keep_from(float(double(candidates.largest()) + std::min(step, 0.0)));
  }
  Stage clone() const override { return std::make_unique<EpsilonCutoff>(*this); }

 private:
  double log_epsilon_;
};

}  // namespace

Stage epsilon_cutoff(float epsilon) { return std::make_unique<EpsilonCutoff>(epsilon); }

}  // namespace gale::stages
