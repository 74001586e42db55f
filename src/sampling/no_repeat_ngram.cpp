#include <limits>

#include "sampling/repeats.h"

namespace gale::stages {
namespace {

/// Paulus et al., "A Deep Reinforced Model for Abstractive Summarization", 2017, as Hugging Face's no_repeat_ngram_size: no run
/// of n tokens comes twice, so what followed the last n - 1 tokens before is forbidden.
class NoRepeatNgram final : public SamplerStage {
 public:
  explicit NoRepeatNgram(int32_t n) : n_(n) {}

  void apply(Candidates& candidates, const SamplingState& state) override {
    const Repeats repeats = find_repeats(last_tokens(state, -1), candidates.numbers);
    for (size_t i = 1; i < repeats.lengths.size(); ++i) {
      if (repeats.lengths[i] < n_ - 1) continue;
      if (const auto place = candidates.find(repeats.turned[i - 1]); place >= 0)
        candidates.change(size_t(place), -std::numeric_limits<float>::infinity());
    }
  }
  Stage clone() const override { return std::make_unique<NoRepeatNgram>(*this); }

 private:
  int32_t n_;
};

}  // namespace

Stage no_repeat_ngram(int32_t n) { return std::make_unique<NoRepeatNgram>(n); }

}  // namespace gale::stages
