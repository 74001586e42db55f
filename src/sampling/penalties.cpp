#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Keskar et al., "CTRL", 2019, as Hugging Face applies it: once for each token seen, prompt included.
class RepetitionPenalty final : public SamplerStage {
 public:
  RepetitionPenalty(float penalty, int64_t vocab) : penalty_(penalty), seen_(size_t(vocab)) {}

  void apply(std::vector<Candidate>& candidates, const SamplingState& state) override {
    for (const auto& tokens : {state.prompt, state.generated})
      for (const int32_t token : tokens) {
        if (size_t(token) >= seen_.size() || seen_[size_t(token)]) continue;
        seen_[size_t(token)] = true;
        float& logit = candidates[size_t(token)].logit;
        logit = usable_logit(logit > 0 ? logit / penalty_ : logit * penalty_);
      }
    for (const auto& tokens : {state.prompt, state.generated})
      for (const int32_t token : tokens)
        if (size_t(token) < seen_.size()) seen_[size_t(token)] = false;
  }
  Stage clone() const override { return std::make_unique<RepetitionPenalty>(*this); }

 private:
  float penalty_;
  std::vector<bool> seen_;  // scratch, all false between calls
};

/// As OpenAI defines them: logit - count * frequency - (count > 0) * presence, over the generated tokens.
class CountPenalties final : public SamplerStage {
 public:
  CountPenalties(float frequency, float presence) : frequency_(frequency), presence_(presence) {}

  void apply(std::vector<Candidate>& candidates, const SamplingState& state) override {
    counts_.resize(candidates.size());
    for (const int32_t token : state.generated)
      if (size_t(token) < counts_.size()) ++counts_[size_t(token)];
    for (const int32_t token : state.generated) {
      if (size_t(token) >= counts_.size() || counts_[size_t(token)] == 0) continue;
      float& logit = candidates[size_t(token)].logit;
      logit = usable_logit(logit - float(counts_[size_t(token)]) * frequency_ - presence_);
      counts_[size_t(token)] = 0;
    }
  }
  Stage clone() const override { return std::make_unique<CountPenalties>(*this); }

 private:
  float frequency_, presence_;
  std::vector<int32_t> counts_;  // scratch, all zero between calls
};

}  // namespace

Stage repetition_penalty(float penalty, int64_t vocab) { return std::make_unique<RepetitionPenalty>(penalty, vocab); }
Stage count_penalties(float frequency, float presence) { return std::make_unique<CountPenalties>(frequency, presence); }

}  // namespace gale::stages
