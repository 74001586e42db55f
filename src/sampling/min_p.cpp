#include <cmath>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Nguyen et al., "Turning Up the Heat: Min-p Sampling", 2024.
class MinP final : public SamplerStage {
 public:
  explicit MinP(float p) : step_(std::log(double(p))) {}
  void apply(Candidates& candidates, const SamplingState&) override {
    candidates.keep_from(float(double(candidates.largest()) + step_));
  }
  Stage clone() const override { return std::make_unique<MinP>(*this); }

 private:
  double step_;  // ln p
};

}  // namespace

Stage min_p(float p) { return std::make_unique<MinP>(p); }

}  // namespace gale::stages
