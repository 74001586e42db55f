#include <algorithm>
#include <cmath>

#include "sampling/sampler.h"

namespace gale {

Logprobs log_probabilities(std::span<const float> logits, int32_t chosen, int32_t n, Candidates& scratch) {
  scratch.start(logits);
  const auto keys = scratch.keys();
  // Where no token can be chosen the distribution is taken for uniform: a number, since JSON has no infinity to say it with.
  const bool none = scratch.choosable() == 0;
  const double log_sum = none ? std::log(double(logits.size())) : double(scratch.largest()) + std::log(scratch.total());
  const auto logprob = [&](float logit) { return none ? float(-log_sum) : float(double(logit) - log_sum); };
  Logprobs out;
  out.chosen = logprob(scratch.logits()[size_t(chosen)]);
  if (n <= 0) return out;
  sampling::rank(keys, std::min(size_t(n), scratch.size()), scratch.select);
  for (const auto& r : scratch.select.ranked) out.top.push_back({int32_t(r.index), logprob(r.key)});
  return out;
}

}  // namespace gale
