#include <algorithm>
#include <cmath>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Top-a of Bo Peng (RWKV-LM): drops p < a x (largest p)^2. In logs, from the largest logit: ln a + ln(largest p).
class TopA final : public SamplerStage {
 public:
  explicit TopA(float a) : log_a_(std::log(double(a))) {}
  void apply(Candidates& candidates, const SamplingState&) override {
    const double step = log_a_ - std::log(candidates.total());
    candidates.keep_from(float(double(candidates.largest()) + std::min(step, 0.0)));
  }
  Stage clone() const override { return std::make_unique<TopA>(*this); }

 private:
  double log_a_;
};

}  // namespace

Stage top_a(float a) { return std::make_unique<TopA>(a); }

}  // namespace gale::stages
