#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// The caller's own stages, one after the other, over the logits of the whole vocabulary.
class Processors final : public SamplerStage {
 public:
  Processors(std::vector<std::shared_ptr<const LogitProcessor>> processors, int64_t vocab)
      : processors_(std::move(processors)), vocab_(vocab) {}

  void apply(Candidates& candidates, const SamplingState& state) override {
    candidates.expand(vocab_);
    for (const auto& processor : processors_) {
      const std::span<float> logits = candidates.change();
      processor->process(logits, {state.prompt, state.generated});
      for (float& logit : logits) logit = usable_logit(logit);
    }
  }
  Stage clone() const override { return std::make_unique<Processors>(*this); }

 private:
  std::vector<std::shared_ptr<const LogitProcessor>> processors_;
  int64_t vocab_;
};

}  // namespace

Stage processors(std::vector<std::shared_ptr<const LogitProcessor>> processors, int64_t vocab) {
  return std::make_unique<Processors>(std::move(processors), vocab);
}

}  // namespace gale::stages
