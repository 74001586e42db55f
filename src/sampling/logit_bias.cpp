#include "sampling/stages.h"

namespace gale::stages {
namespace {

class LogitBias final : public SamplerStage {
 public:
  LogitBias(std::vector<std::pair<int32_t, float>> bias, int64_t vocab) : bias_(std::move(bias)), vocab_(size_t(vocab)) {}

  void apply(std::vector<Candidate>& candidates, const SamplingState&) override {
    for (const auto& [token, bias] : bias_)
      if (size_t(token) < vocab_) candidates[size_t(token)].logit = usable_logit(candidates[size_t(token)].logit + bias);
  }
  Stage clone() const override { return std::make_unique<LogitBias>(*this); }

 private:
  std::vector<std::pair<int32_t, float>> bias_;
  size_t vocab_;
};

}  // namespace

Stage logit_bias(std::vector<std::pair<int32_t, float>> bias, int64_t vocab) {
  return std::make_unique<LogitBias>(std::move(bias), vocab);
}

}  // namespace gale::stages
