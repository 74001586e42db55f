#include <algorithm>
#include <cmath>
#include <limits>

#include "sampling/repeats.h"

namespace gale::stages {
namespace {

/// "Don't repeat yourself" of p-e-w (text-generation-webui pull request 5637), with the linear search and the sequence breakers
/// of KoboldCpp's pull request 982. Where the end of the text, n tokens long, stood before, the token that followed it then loses
/// multiplier x base ^ (n - allowed length), n being the longest such end; no end goes over a sequence breaker, and a token that
/// holds a whole breaker is free.
class Dry final : public SamplerStage {
 public:
  Dry(DryParams params, DryBreakers breakers, int64_t vocab)
      : params_(params), breakers_(std::make_shared<const DryBreakers>(std::move(breakers))), vocab_(vocab) {}

  void apply(Candidates& candidates, const SamplingState& state) override {
    const Window text = last_tokens(state, params_.last_n);
    const auto allowed = size_t(params_.allowed_length);
    if (text.size() <= allowed) return;
    const size_t limit = since_breaker(text);
    if (limit < allowed) return;
    note_repeats(candidates, text, limit);
    for (size_t i = 0; i < text.size(); ++i) penalize(candidates, text[i]);
  }
  Stage clone() const override { return std::make_unique<Dry>(*this); }

 private:
  /// Tokens after the breaker that begins last.
  size_t since_breaker(const Window& text) const {
    for (size_t back = 0; back < text.size(); ++back) {
      const size_t first = text.size() - 1 - back;
      const ptrdiff_t more = breakers_->match(back + 1, [&](size_t i) { return text[first + i]; });
      if (more >= 0) return back - size_t(more);
    }
    return text.size();
  }

  /// candidates.counts[token]: the longest end of the text, at most `limit`, that this token followed before.
  void note_repeats(Candidates& candidates, const Window& text, size_t limit) const {
    if (int64_t(candidates.counts.size()) < vocab_) candidates.counts.resize(size_t(vocab_));
    const Repeats repeats = find_repeats(text, candidates.numbers);
    for (size_t i = 1; i < text.size(); ++i) {
      const int32_t length = std::min(repeats.lengths[i], int32_t(limit)), next = repeats.turned[i - 1];
      if (length < params_.allowed_length || next < 0 || next >= vocab_) continue;
      int32_t& longest = candidates.counts[size_t(next)];
      longest = std::max(longest, length);
    }
  }

  void penalize(Candidates& candidates, int32_t token) const {
    if (token < 0 || token >= vocab_ || candidates.counts[size_t(token)] == 0) return;
    const int32_t length = std::exchange(candidates.counts[size_t(token)], 0);
    const ptrdiff_t i = candidates.find(token);
    if (i < 0 || breakers_->in(token)) return;
    constexpr double kMost = std::numeric_limits<float>::max() / 2;
    const double penalty = double(params_.multiplier) * std::pow(double(params_.base), length - params_.allowed_length);
    candidates.change(size_t(i), usable_logit(candidates.logits()[size_t(i)] - float(std::min(penalty, kMost))));
  }

  DryParams params_;
  std::shared_ptr<const DryBreakers> breakers_;
  int64_t vocab_;
};

}  // namespace

Stage dry(DryParams params, DryBreakers breakers, int64_t vocab) {
  return std::make_unique<Dry>(params, std::move(breakers), vocab);
}

}  // namespace gale::stages
