#include <limits>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

/// Paulus et al., "A Deep Reinforced Model for Abstractive Summarization", 2017, as Hugging Face's no_repeat_ngram_size: no run
/// of n tokens comes twice, so what followed the last n - 1 tokens before is forbidden.
class NoRepeatNgram final : public SamplerStage {
 public:
  explicit NoRepeatNgram(int32_t n) : n_(size_t(n)) {}

  void apply(Candidates& candidates, const SamplingState& state) override {
    const Window text = last_tokens(state, -1);
    const size_t length = text.size(), known = n_ - 1;
    for (size_t end = known; end < length; ++end) {  // a run ends before `end`, the token there followed it
      size_t same = 0;
      while (same < known && text[end - 1 - same] == text[length - 1 - same]) ++same;
      if (same < known) continue;
      if (const auto i = candidates.find(text[end]); i >= 0)
        candidates.change(size_t(i), -std::numeric_limits<float>::infinity());
    }
  }
  Stage clone() const override { return std::make_unique<NoRepeatNgram>(*this); }

 private:
  size_t n_;
};

}  // namespace

Stage no_repeat_ngram(int32_t n) { return std::make_unique<NoRepeatNgram>(n); }

}  // namespace gale::stages
