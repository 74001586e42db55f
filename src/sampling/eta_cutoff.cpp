#include <algorithm>
#include <cmath>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Hewitt et al., "Truncation Sampling as Language Model Desmoothing", 2022: drops p < eta = min(epsilon, sqrt(epsilon) x e^-H),
/// H the entropy in nats; never the most likely.
class EtaCutoff final : public SamplerStage {
 public:
  explicit EtaCutoff(float epsilon) : log_epsilon_(std::log(double(epsilon))) {}
  void apply(Candidates& candidates, const SamplingState&) override {
    const double log_eta = std::min(log_epsilon_, log_epsilon_ / 2 - candidates.entropy());
    const double step = log_eta + std::log(candidates.total());
    candidates.keep_from(float(double(candidates.largest()) + std::min(step, 0.0)));
  }
  Stage clone() const override { return std::make_unique<EtaCutoff>(*this); }

 private:
  double log_epsilon_;
};

}  // namespace

Stage eta_cutoff(float epsilon) { return std::make_unique<EtaCutoff>(epsilon); }

}  // namespace gale::stages
