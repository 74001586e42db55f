#include <cmath>

#include "base/fail.h"
#include "sampling/sampler.h"
#include "sampling/stages.h"

namespace gale {
namespace {

constexpr int32_t kMostLogprobs = 20;

/// NaN fails every comparison, so it is refused with the rest.
void check(bool ok, const char* field, float value, const char* range) {
  require(ok, ErrorCode::invalid_argument, "{} is {}, but must be {}", field, value, range);
}

void check_params(const SamplingParams& p, int64_t vocab) {
  for (const auto& [token, bias] : p.logit_bias) {
    require(token >= 0 && token < vocab, ErrorCode::invalid_argument, "logit_bias names token {}, but must name one of 0 to {}",
            token, vocab - 1);
    require(std::isfinite(bias), ErrorCode::invalid_argument, "logit_bias of token {} is {}, but must be a finite number", token,
            bias);
  }
  check(p.repetition_penalty > 0 && std::isfinite(p.repetition_penalty), "repetition_penalty", p.repetition_penalty,
        "a finite number above 0");
  check(p.frequency_penalty >= -2 && p.frequency_penalty <= 2, "frequency_penalty", p.frequency_penalty, "from -2 to 2");
  check(p.presence_penalty >= -2 && p.presence_penalty <= 2, "presence_penalty", p.presence_penalty, "from -2 to 2");
  check(p.temperature >= 0 && std::isfinite(p.temperature), "temperature", p.temperature, "a finite number of at least 0");
  require(p.top_k >= 0, ErrorCode::invalid_argument, "top_k is {}, but must be at least 0 (0 keeps all)", p.top_k);
  check(p.top_p > 0 && p.top_p <= 1, "top_p", p.top_p, "above 0 and at most 1");
  check(p.min_p >= 0 && p.min_p < 1, "min_p", p.min_p, "at least 0 and below 1");
  require(p.logprobs >= -1 && p.logprobs <= kMostLogprobs, ErrorCode::invalid_argument,
          "logprobs is {}, but must be -1 (none) or from 0 to {}", p.logprobs, kMostLogprobs);
}

}  // namespace

SamplerChain::SamplerChain(const SamplingParams& p, int64_t vocab) : greedy_(p.temperature == 0) {
  require(vocab > 0 && vocab <= INT32_MAX, ErrorCode::invalid_argument, "a vocabulary of {} tokens cannot be sampled from",
          vocab);
  check_params(p, vocab);
  if (!p.logit_bias.empty()) stages_.push_back(stages::logit_bias(p.logit_bias, vocab));
  if (p.repetition_penalty != 1) stages_.push_back(stages::repetition_penalty(p.repetition_penalty, vocab));
  if (p.frequency_penalty != 0 || p.presence_penalty != 0)
    stages_.push_back(stages::count_penalties(p.frequency_penalty, p.presence_penalty));
  if (greedy_) {
    if (!stages_.empty()) stages_.push_back(stages::greedy());
    return;
  }
  if (p.temperature != 1) stages_.push_back(stages::temperature(p.temperature));
  if (p.top_k > 0) stages_.push_back(stages::top_k(p.top_k));
  if (p.top_p < 1) stages_.push_back(stages::top_p(p.top_p));
  if (p.min_p > 0) stages_.push_back(stages::min_p(p.min_p));
  stages_.push_back(stages::draw());
}

SamplerChain::SamplerChain(const SamplerChain& other) : greedy_(other.greedy_) {
  for (const auto& stage : other.stages_) stages_.push_back(stage->clone());
}
SamplerChain::SamplerChain(SamplerChain&&) noexcept = default;
SamplerChain& SamplerChain::operator=(SamplerChain&&) noexcept = default;
SamplerChain::~SamplerChain() = default;

int32_t SamplerChain::sample(std::span<const float> logits, const SamplingState& state) {
  if (stages_.empty()) return stages::argmax(logits);  // greedy, and nothing that changes a logit
  candidates_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) candidates_[i] = {int32_t(i), stages::usable_logit(logits[i])};
  for (const auto& stage : stages_) stage->apply(candidates_, state);
  return candidates_.front().token;
}

}  // namespace gale
