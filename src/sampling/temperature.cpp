#include <algorithm>
#include <cmath>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Counted from the largest logit, so that no temperature, however small, makes an infinity of it.
void divide(Candidates& candidates, float temperature) {
  const float largest = candidates.largest();
  for (float& logit : candidates.change()) {
    const float scaled = (logit - largest) / temperature;
    logit = logit == largest ? 0.0f : scaled;
  }
}

class Temperature final : public SamplerStage {
 public:
  explicit Temperature(float temperature) : temperature_(temperature) {}
  void apply(Candidates& candidates, const SamplingState&) override { divide(candidates, temperature_); }
  Stage clone() const override { return std::make_unique<Temperature>(*this); }

 private:
  float temperature_;
};

/// KoboldCpp's and llama.cpp's dynatemp: temperature - range + 2 x range x (entropy / largest entropy of so many candidates) ^
/// exponent.
class DynamicTemperature final : public SamplerStage {
 public:
  DynamicTemperature(float temperature, float range, float exponent)
      : lowest_(std::max(temperature - range, 0.0f)), highest_(temperature + range), exponent_(exponent) {}

  void apply(Candidates& candidates, const SamplingState&) override {
    const double most = std::log(double(candidates.choosable()));
    if (most <= 0) return;  // one candidate, or none
    const double share = std::clamp(candidates.entropy() / most, 0.0, 1.0);
    divide(candidates, lowest_ + (highest_ - lowest_) * float(std::pow(share, double(exponent_))));
  }
  Stage clone() const override { return std::make_unique<DynamicTemperature>(*this); }

 private:
  float lowest_, highest_, exponent_;
};

}  // namespace

Stage temperature(float temperature) { return std::make_unique<Temperature>(temperature); }
Stage dynamic_temperature(float temperature, float range, float exponent) {
  return std::make_unique<DynamicTemperature>(temperature, range, exponent);
}

}  // namespace gale::stages
