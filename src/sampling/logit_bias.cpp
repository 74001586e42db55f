#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// OpenAI's logit_bias: added before anything else is done. A token named twice gets both.
class LogitBias final : public SamplerStage {
 public:
  explicit LogitBias(std::vector<std::pair<int32_t, float>> bias) : bias_(std::move(bias)) {}

  void apply(Candidates& candidates, const SamplingState&) override {
    for (const auto& [token, bias] : bias_)
      if (const auto i = candidates.find(token); i >= 0)
        candidates.change(size_t(i), usable_logit(candidates.logits()[size_t(i)] + bias));
  }
  Stage clone() const override { return std::make_unique<LogitBias>(*this); }

 private:
  std::vector<std::pair<int32_t, float>> bias_;
};

}  // namespace

Stage logit_bias(std::vector<std::pair<int32_t, float>> bias) { return std::make_unique<LogitBias>(std::move(bias)); }

}  // namespace gale::stages
