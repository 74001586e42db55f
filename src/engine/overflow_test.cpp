#include "engine/overflow.h"

#include <gtest/gtest.h>

#include "engine/test_drafter.h"

namespace gale {
namespace {

using namespace gale::testing;

constexpr int64_t kContext = 64;
const auto kVocab = int32_t(kTinyShape.vocab);

std::unique_ptr<Engine> tiny(std::unique_ptr<Drafter> drafter = nullptr, int64_t context = kContext) {
  return open_tiny_model([&](EngineOptions& o) { o.context = context, o.draft_min = drafter ? o.draft_max : 0; },
                         std::move(drafter));
}

TEST(Overflow, CutsWhatItSays) {
  const auto left = [](Overflow how, int64_t keep, int64_t size, int64_t target) {
    const Gap gap = overflow_gap(how, keep, size, target);
    return std::pair(gap.begin, gap.count);
  };
  using P = std::pair<int64_t, int64_t>;
  EXPECT_EQ(left(Overflow::slide, 0, 100, 60), P(0, 40));
  EXPECT_EQ(left(Overflow::slide, 10, 100, 60), P(10, 40));
  EXPECT_EQ(left(Overflow::middle, 10, 100, 60), P(30, 40));
  EXPECT_EQ(left(Overflow::middle, 50, 100, 60), P(50, 40));
  EXPECT_EQ(left(Overflow::slide, 5, 60, 60).second, 0);
  EXPECT_EQ(prompt_target(100, 10), 90);
  EXPECT_EQ(prompt_target(100, 50), 75);
  EXPECT_EQ(prompt_target(100, -1), 75);
  EXPECT_EQ(prompt_target(1, -1), 1);
}

// What a caller would do with an engine that only refuses: ask until the context is full, cut, ask again.
std::vector<int32_t> by_hand(Engine& engine, std::vector<int32_t> text, Overflow how, int64_t keep, size_t count) {
  std::vector<int32_t> out;
  while (out.size() < count) {
    const Text piece = ask(engine, greedy(text, -1));
    EXPECT_EQ(piece.end.finish, Finish::length);
    out.insert(out.end(), piece.tokens.begin(), piece.tokens.end());
    text.insert(text.end(), piece.tokens.begin(), piece.tokens.end());
    const Gap gap = overflow_gap(how, keep, int64_t(text.size()), kContext * 3 / 4);
    text.erase(text.begin() + gap.begin, text.begin() + gap.begin + gap.count);
  }
  out.resize(count);
  return out;
}

TEST(Overflow, AnAnswerGoesOnBehindWhatIsLeft) {
  const auto engine = tiny();
  for (const Overflow how : {Overflow::slide, Overflow::middle})
    for (const int64_t keep : {0, 7}) {
      Request request = greedy(random_prompt(uint64_t(keep) + 1, 40, kVocab), 200);
      request.overflow = how;
      request.keep = keep;
      const Text got = ask(*engine, request);
      EXPECT_EQ(got.end.finish, Finish::length);
      EXPECT_EQ(got.end.generated_tokens, 200);
      EXPECT_EQ(got.end.prompt_tokens, 40);
      EXPECT_GE(got.end.dropped_tokens, 240 - kContext);
      EXPECT_EQ(got.tokens, by_hand(*engine, request.tokens, how, keep, 200)) << int(how) << " " << keep;
    }
}

TEST(Overflow, APromptLosesWhatDoesNotFit) {
  const auto engine = tiny();
  const std::vector<int32_t> prompt = random_prompt(9, 100, kVocab);
  Request request = greedy(prompt, 8);
  EXPECT_THROW(engine->submit(request), Error);
  request.keep = 5;
  request.overflow = Overflow::slide;
  std::vector<int32_t> left(prompt.begin(), prompt.begin() + 5);
  left.insert(left.end(), prompt.end() - (kContext - 8 - 5), prompt.end());
  const Text got = ask(*engine, request);
  EXPECT_EQ(got.tokens, ask(*engine, greedy(left, 8)).tokens);
  EXPECT_EQ(got.end.prompt_tokens, 100);
  EXPECT_EQ(got.end.dropped_tokens, 100 - (kContext - 8));
  request.overflow = Overflow::middle;
  left.assign(prompt.begin(), prompt.begin() + 28);
  left.insert(left.end(), prompt.end() - 28, prompt.end());
  EXPECT_EQ(ask(*engine, request).tokens, ask(*engine, greedy(left, 8)).tokens);
}

// Draws, remembered surprise, drafts and counts go on as if nothing had been taken out.
TEST(Overflow, WhatIsCountedGoesOn) {
  Request request = greedy({1, 2, 3}, 200);
  request.overflow = Overflow::slide;
  request.sampling.temperature = 1;
  request.sampling.mirostat = 2;
  request.sampling.logprobs = 0;
  request.ignore_eos = false;
  request.stop_ids.clear();
  for (int32_t id = 0; id < kVocab / 2; ++id) request.stop_ids.push_back(id);
  request.min_tokens = 150;
  const Text plain = ask(*tiny(), request);
  EXPECT_GE(plain.end.generated_tokens, 150);
  EXPECT_LT(plain.end.generated_tokens, 200);
  std::vector<int32_t> known = request.tokens;
  known.insert(known.end(), plain.tokens.begin(), plain.tokens.end());
  std::vector<std::vector<int32_t>> texts = {known};
  for (size_t begin = 1; begin < known.size(); ++begin) texts.emplace_back(known.begin() + long(begin), known.end());
  const auto engine = tiny(std::make_unique<GuessingDrafter>(texts, 5, kVocab));
  const Text drafted = ask(*engine, request);
  EXPECT_EQ(drafted, plain);
  EXPECT_GT(drafted.end.accepted_tokens, 20);
  request.choices = 4;
  const auto stream = tiny()->submit(request);
  int ends = 0;
  while (const auto event = stream->next()) ends += std::holds_alternative<EndEvent>(*event);
  EXPECT_EQ(ends, 4);
}

TEST(Overflow, KeepHasABound) {
  const auto engine = tiny();
  Request request = greedy({1, 2, 3}, 5);
  for (const int64_t keep : {int64_t(-1), kContext / 2, kContext * 2}) {
    request.keep = keep;
    EXPECT_THROW(engine->submit(request), Error) << keep;
  }
}

}  // namespace
}  // namespace gale
