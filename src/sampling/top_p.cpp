#include <algorithm>
#include <cmath>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020: the token that reaches p is kept.
class TopP final : public SamplerStage {
 public:
  explicit TopP(float p) : p_(p) {}

  void apply(std::vector<Candidate>& candidates, const SamplingState&) override {
    const float largest = largest_logit(candidates);
    if (std::isinf(largest)) return;
    double total = 0;
    for (const Candidate& c : candidates) total += std::exp(double(c.logit) - double(largest));
    // The set is nearly always small: sort a prefix of the most likely, a longer one only when that does not reach p.
    size_t sorted = 0;
    double reached = 0;
    for (size_t wanted = 64; sorted < candidates.size(); wanted *= 8) {
      const auto from = candidates.begin() + ptrdiff_t(sorted);
      const auto to = candidates.begin() + ptrdiff_t(std::min(wanted, candidates.size()));
      if (to != candidates.end()) std::nth_element(from, to, candidates.end(), more_likely);
      std::sort(from, to, more_likely);
      for (auto c = from; c != to; ++c) {
        reached += std::exp(double(c->logit) - double(largest));
        if (reached < double(p_) * total) continue;
        candidates.erase(c + 1, candidates.end());
        return;
      }
      sorted = size_t(to - candidates.begin());
    }
  }
  Stage clone() const override { return std::make_unique<TopP>(*this); }

 private:
  float p_;
};

}  // namespace

Stage top_p(float p) { return std::make_unique<TopP>(p); }

}  // namespace gale::stages
