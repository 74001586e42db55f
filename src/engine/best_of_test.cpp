#include "engine/best_of.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "engine/test_drafter.h"

namespace gale {
namespace {

using namespace gale::testing;

struct Answer {
  std::vector<int32_t> tokens;
  double logprob = 0;
  Finish finish{};
  bool operator==(const Answer&) const = default;
};

std::map<int32_t, Answer> all(EventStream& stream, bool by_time = false) {
  std::map<int32_t, Answer> out;
  bool ended = false;
  for (int idle = 0; idle < 1000 && !ended;) {
    const auto event = by_time ? stream.next(std::chrono::milliseconds(5)) : stream.next();
    if (!event) {
      ended = !by_time;
      ++idle;
      continue;
    }
    if (const auto* token = std::get_if<TokenEvent>(&*event)) {
      Answer& answer = out[token->choice];
      answer.tokens.push_back(token->token);
      answer.logprob += double(token->logprob);
    } else if (const auto* end = std::get_if<EndEvent>(&*event)) {
      out[end->choice].finish = end->finish;
      ended = by_time && out.size() == 2 && end->choice == 1;
    }
  }
  return out;
}

Request drawn(int32_t choices) {
  Request request = greedy(random_prompt(3, 20, kTinyShape.vocab), 12);
  request.sampling.temperature = 1;
  request.sampling.logprobs = 0;
  request.choices = choices;
  request.stop_ids = {1, 2, 3, 4, 5, 6, 7, 8};  // answers of several lengths
  return request;
}

TEST(BestOf, GivesTheLikeliestOfTheChoices) {
  const auto engine = open_tiny_model({}, nullptr);
  std::vector<Answer> order;
  for (const auto& [choice, answer] : all(*engine->submit(drawn(8)))) order.push_back(answer);
  ASSERT_EQ(order.size(), 8u);
  const auto mean = [](const Answer& a) { return a.tokens.empty() ? 0 : a.logprob / double(a.tokens.size()); };
  std::ranges::sort(order, [&](const Answer& a, const Answer& b) { return mean(a) > mean(b); });
  Request request = drawn(2);
  request.best_of = 8;
  for (const bool by_time : {false, true}) {
    const auto best = all(*engine->submit(request), by_time);
    ASSERT_EQ(best.size(), 2u);
    EXPECT_EQ(best.at(0), order[0]);
    EXPECT_EQ(best.at(1), order[1]);
  }
  request.sampling.logprobs = -1;
  const auto silent = all(*engine->submit(request));
  EXPECT_EQ(silent.at(0).tokens, order[0].tokens);
  EXPECT_EQ(silent.at(0).logprob, 0) << "nobody asked for it";
}

TEST(BestOf, IsCheckedAndCancelled) {
  const auto engine = open_tiny_model({}, nullptr);
  Request request = drawn(3);
  for (const int32_t wrong : {-1, 2, 129}) {
    request.best_of = wrong;
    EXPECT_THROW(engine->submit(request), Error) << wrong;
  }
  request.best_of = 6;
  request.max_tokens = 1000;
  request.stop_ids.clear();
  const auto stream = engine->submit(request);
  engine->cancel(stream->id());
  const auto answers = all(*stream);
  ASSERT_EQ(answers.size(), 3u);
  for (const auto& [choice, answer] : answers) EXPECT_EQ(answer.finish, Finish::cancelled);
  engine->submit(request);  // and one that nobody waits for
}

}  // namespace
}  // namespace gale
