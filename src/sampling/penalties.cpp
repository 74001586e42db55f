#include <algorithm>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Calls visit(candidate, count) once for each token of the spans that is a candidate.
template <class Visit>
void for_each_distinct(Candidates& candidates, int64_t vocab, std::initializer_list<std::span<const int32_t>> spans,
                       Visit visit) {
  std::vector<int32_t>& counts = candidates.counts;
  if (int64_t(counts.size()) < vocab) counts.resize(size_t(vocab));
  const auto inside = [&](int32_t token) { return token >= 0 && token < vocab; };
  for (const auto& tokens : spans)
    for (const int32_t token : tokens)
      if (inside(token)) ++counts[size_t(token)];
  for (const auto& tokens : spans)
    for (const int32_t token : tokens) {
      if (!inside(token) || counts[size_t(token)] == 0) continue;
      if (const auto i = candidates.find(token); i >= 0) visit(size_t(i), counts[size_t(token)]);
      counts[size_t(token)] = 0;
    }
}

/// Keskar et al., "CTRL", 2019, as Hugging Face applies it: once for each token seen, prompt included.
class RepetitionPenalty final : public SamplerStage {
 public:
  RepetitionPenalty(float penalty, int32_t last_n, int64_t vocab) : penalty_(penalty), last_n_(last_n), vocab_(vocab) {}

  void apply(Candidates& candidates, const SamplingState& state) override {
    const Window window = last_tokens(state, last_n_);
    for_each_distinct(candidates, vocab_, {window.prompt, window.generated}, [&](size_t i, int32_t) {
      const float logit = candidates.logits()[i];
      candidates.change(i, usable_logit(logit > 0 ? logit / penalty_ : logit * penalty_));
    });
  }
  Stage clone() const override { return std::make_unique<RepetitionPenalty>(*this); }

 private:
  float penalty_;
  int32_t last_n_;
  int64_t vocab_;
};

/// As OpenAI defines them: logit - count * frequency - (count > 0) * presence, over the generated tokens.
class CountPenalties final : public SamplerStage {
 public:
  CountPenalties(float frequency, float presence, int32_t last_n, int64_t vocab)
      : frequency_(frequency), presence_(presence), last_n_(last_n), vocab_(vocab) {}

  void apply(Candidates& candidates, const SamplingState& state) override {
    for_each_distinct(candidates, vocab_, {last_tokens(state, last_n_).generated}, [&](size_t i, int32_t count) {
      candidates.change(i, usable_logit(candidates.logits()[i] - float(count) * frequency_ - presence_));
    });
  }
  Stage clone() const override { return std::make_unique<CountPenalties>(*this); }

 private:
  float frequency_, presence_;
  int32_t last_n_;
  int64_t vocab_;
};

}  // namespace

Window last_tokens(const SamplingState& state, int32_t n) {
  if (n < 0) return {state.prompt, state.generated};
  const size_t generated = std::min(size_t(n), state.generated.size());
  return {state.prompt.last(std::min(size_t(n) - generated, state.prompt.size())), state.generated.last(generated)};
}

Stage repetition_penalty(float penalty, int32_t last_n, int64_t vocab) {
  return std::make_unique<RepetitionPenalty>(penalty, last_n, vocab);
}
Stage count_penalties(float frequency, float presence, int32_t last_n, int64_t vocab) {
  return std::make_unique<CountPenalties>(frequency, presence, last_n, vocab);
}

}  // namespace gale::stages
