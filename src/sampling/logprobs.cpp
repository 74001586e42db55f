#include <algorithm>
#include <cmath>

#include "sampling/sampler.h"
#include "sampling/stages.h"

namespace gale {

Logprobs log_probabilities(std::span<const float> logits, int32_t chosen, int32_t n) {
  using stages::usable_logit;
  const double largest = double(usable_logit(logits[size_t(stages::argmax(logits))]));
  double sum = 0;
  for (const float logit : logits) sum += std::isinf(largest) ? 1 : std::exp(double(usable_logit(logit)) - largest);
  // Where no token can be chosen the distribution is taken for uniform: a number, since JSON has no infinity to say it with.
  const double log_sum = std::log(sum);
  const auto logprob = [&](float logit) {
    return std::isinf(largest) ? float(-log_sum) : float(double(logit) - largest - log_sum);
  };
  Logprobs out;
  out.chosen = logprob(usable_logit(logits[size_t(chosen)]));
  if (n <= 0) return out;
  // A heap of the n best so far, its worst on top: one pass, and most logits fail the first comparison.
  std::vector<Candidate> best;
  for (size_t i = 0; i < logits.size(); ++i) {
    const Candidate c{int32_t(i), usable_logit(logits[i])};
    if (best.size() == size_t(n)) {
      if (!stages::more_likely(c, best.front())) continue;
      std::pop_heap(best.begin(), best.end(), stages::more_likely);
      best.pop_back();
    }
    best.push_back(c);
    std::push_heap(best.begin(), best.end(), stages::more_likely);
  }
  std::sort_heap(best.begin(), best.end(), stages::more_likely);
  for (const Candidate& c : best) out.top.push_back({c.token, logprob(c.logit)});
  return out;
}

}  // namespace gale
