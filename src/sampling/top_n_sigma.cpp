#include <cmath>
#include <limits>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Tang et al., "Top-nsigma: Not All Logits Are You Need", 2024: keeps logits of at least the largest - n x their standard
/// deviation. Tokens that cannot be chosen do not count.
class TopNSigma final : public SamplerStage {
 public:
  explicit TopNSigma(float n) : n_(n) {}

  void apply(Candidates& candidates, const SamplingState&) override {
    const double largest = double(candidates.largest());
    double sums[kLanes] = {}, squares[kLanes] = {}, counts[kLanes] = {};
    const auto logits = candidates.logits();
    for (size_t i = 0; i < logits.size(); ++i) {
      constexpr float kNever = -std::numeric_limits<float>::infinity();
      const double below = logits[i] == kNever ? 0 : double(logits[i]) - largest;
      sums[i % kLanes] += below;
      squares[i % kLanes] += below * below;
      counts[i % kLanes] += logits[i] == kNever ? 0 : 1;
    }
    for (size_t lane = 1; lane < kLanes; ++lane) sums[0] += sums[lane], squares[0] += squares[lane], counts[0] += counts[lane];
    const double mean = sums[0] / counts[0], variance = squares[0] / counts[0] - mean * mean;
    const double step = double(n_) * std::sqrt(variance > 0 ? variance : 0);
    candidates.keep_from(float(largest - step));
  }
  Stage clone() const override { return std::make_unique<TopNSigma>(*this); }

 private:
  static constexpr size_t kLanes = 4;  // sums side by side
  float n_;
};

}  // namespace

Stage top_n_sigma(float n) { return std::make_unique<TopNSigma>(n); }

}  // namespace gale::stages
