#include "engine/best_of.h"

#include <algorithm>
#include <deque>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

namespace gale {
namespace {

class BestStream final : public EventStream {
 public:
  BestStream(std::unique_ptr<EventStream> choices, int32_t generated, int32_t wanted, bool logprobs)
      : choices_(std::move(choices)), going_(generated), wanted_(size_t(wanted)), logprobs_(logprobs) {}

  std::optional<Event> next() override {
    while (!ranked_) take(choices_->next());
    return give();
  }
  std::optional<Event> next(std::chrono::milliseconds timeout) override {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (!ranked_) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      std::optional<Event> event = choices_->next(std::max(left, std::chrono::milliseconds(0)));
      if (!event && std::chrono::steady_clock::now() >= deadline) return std::nullopt;
      take(std::move(event));
    }
    return give();
  }
  uint64_t id() const override { return choices_->id(); }

 private:
  struct Choice {
    std::vector<TokenEvent> tokens;
    EndEvent end{};
    double logprob() const {
      double sum = 0;
      for (const TokenEvent& token : tokens) sum += double(token.logprob);
      return tokens.empty() ? 0 : sum / double(tokens.size());
    }
  };

  void take(std::optional<Event> event) {
    if (!event) return;
    if (auto* token = std::get_if<TokenEvent>(&*event)) all_[token->choice].tokens.push_back(std::move(*token));
    if (auto* end = std::get_if<EndEvent>(&*event)) {
      all_[end->choice].end = std::move(*end);
      if (--going_ == 0) rank();
      return;
    }
    if (std::holds_alternative<PromptEvent>(*event)) out_.push_back(std::move(*event));
  }

  void rank() {
    std::vector<std::tuple<bool, double, int32_t>> order;  // what failed, what is unlikely and what is late comes last
    for (const auto& [number, choice] : all_) order.emplace_back(choice.end.finish == Finish::error, -choice.logprob(), number);
    std::ranges::sort(order);
    order.resize(std::min(order.size(), wanted_));
    for (int32_t place = 0; const auto& [failed, unlikely, number] : order) {
      Choice& choice = all_[number];
      for (TokenEvent& token : choice.tokens) {
        token.choice = place;
        if (!logprobs_) token.logprob = 0, token.top.clear();
        out_.emplace_back(std::move(token));
      }
      choice.end.choice = place++;
      out_.emplace_back(std::move(choice.end));
    }
    ranked_ = true;
  }

  std::optional<Event> give() {
    if (out_.empty()) return std::nullopt;
    Event event = std::move(out_.front());
    out_.pop_front();
    return event;
  }

  std::unique_ptr<EventStream> choices_;
  int32_t going_;  // choices that have not ended
  size_t wanted_;
  bool logprobs_, ranked_ = false;
  std::map<int32_t, Choice> all_;
  std::deque<Event> out_;
};

}  // namespace

std::unique_ptr<EventStream> best_of(std::unique_ptr<EventStream> choices, int32_t generated, int32_t wanted, bool logprobs) {
  return std::make_unique<BestStream>(std::move(choices), generated, wanted, logprobs);
}

}  // namespace gale
