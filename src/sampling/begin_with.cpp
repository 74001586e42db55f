#include <algorithm>

#include "base/fail.h"
#include "sampling/stages.h"
#include "tokenizer/token_search.h"

namespace gale::stages {
namespace {

/// While a text is not written, only tokens that go on with it, or hold its end and more, may be chosen. How much of it is
/// written follows from the tokens generated so far.
class BeginWith final : public SamplerStage {
 public:
  BeginWith(const Tokenizer& tokenizer, std::string_view text, int64_t vocab) {
    for (size_t at = 0; at < text.size(); ++at) {
      next_.push_back(tokens_continuing(tokenizer, text.substr(at)));
      std::erase_if(next_.back(), [&](const TokenOverlap& t) { return t.id >= vocab; });
    }
    require(!next_.front().empty(), ErrorCode::invalid_argument, "begin_with is \"{}\", but no token of this model begins so",
            text);
  }

  void apply(Candidates& candidates, const SamplingState& state) override {
    size_t written = 0;
    for (const int32_t token : state.generated) {
      if (written >= next_.size()) return;
      const auto& possible = next_[written];
      const auto found = std::ranges::lower_bound(possible, token, {}, &TokenOverlap::id);
      if (found == possible.end() || found->id != token) return;  // a token that no mask allowed: the text has gone another way
      written += found->bytes;
    }
    if (written >= next_.size()) return;
    auto next = next_[written].begin();  // both lists ascend
    const auto end = next_[written].end();
    candidates.drop_if([&](size_t i) {
      while (next != end && next->id < candidates.token(i)) ++next;
      return next == end || next->id != candidates.token(i);
    });
  }
  Stage clone() const override { return std::make_unique<BeginWith>(*this); }

 private:
  std::vector<std::vector<TokenOverlap>> next_;  // by bytes written; ids ascend
};

}  // namespace

Stage begin_with(const Tokenizer& tokenizer, std::string_view text, int64_t vocab) {
  return std::make_unique<BeginWith>(tokenizer, text, vocab);
}

}  // namespace gale::stages
