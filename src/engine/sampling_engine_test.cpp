#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <stdexcept>

#include "base/threads.h"
#include "checkpoint/checkpoint.h"
#include "engine/open_engine.h"
#include "engine/test_engine.h"
#include "gale/engine.h"
#include "sampling/sampler.h"

// What a request's end, its prompt's logprobs and the caller's own stages do through the engine.
namespace gale {
namespace {

using namespace gale::testing;

constexpr int64_t kVocab = 160;  // of the golden llama3, whose end token is 2

std::unique_ptr<Engine> open_golden(const std::function<void(EngineOptions&)>& change = {}) {
  EngineOptions options;
  options.model = golden_path("llama3").string();
  options.threads = 2;
  options.kv_bytes = 1 << 22;
  if (change) change(options);
  return Engine::open(options);
}

Request eager_to_end(int64_t max_tokens) {
  Request request = greedy({1, 5, 9}, max_tokens);
  request.ignore_eos = false;
  request.sampling.logit_bias = {{2, 1e4f}};
  return request;
}

TEST(EngineSampling, MinTokensHoldsOffEveryEnd) {
  const auto engine = open_golden();
  Request request = eager_to_end(12);
  request.min_tokens = 4;
  Text text = read_all(*engine->submit(request));
  EXPECT_EQ(text.tokens.size(), 4u);
  EXPECT_EQ(text.end.finish, Finish::stop);
  EXPECT_EQ(text.end.stop_token, 2);
  for (const int32_t token : text.tokens) EXPECT_NE(token, 2);
  request.stop_ids = {text.tokens[1]};  // ids of the caller's as well
  const Text other = read_all(*engine->submit(request));
  EXPECT_EQ(other.tokens.size(), 4u);
  for (const int32_t token : other.tokens) EXPECT_NE(token, text.tokens[1]);
  request = eager_to_end(12);
  request.min_tokens = 4;
  request.ignore_eos = true;  // then the end token ends nothing, and may come
  EXPECT_EQ(read_all(*engine->submit(request)).tokens, std::vector<int32_t>(12, 2));
  request.min_tokens = 13;
  EXPECT_THROW(engine->submit(request), Error);
  request.min_tokens = -1;
  EXPECT_THROW(engine->submit(request), Error);
}

TEST(EngineSampling, IncludeStopSendsTheTokenThatEnded) {
  const auto engine = open_golden();
  Request request = eager_to_end(12);
  EXPECT_TRUE(read_all(*engine->submit(request)).tokens.empty());
  request.include_stop = true;
  request.sampling.logprobs = 0;
  const Text text = read_all(*engine->submit(request));
  EXPECT_EQ(text.tokens, std::vector<int32_t>{2});
  EXPECT_EQ(text.logprobs.size(), 1u);
  EXPECT_EQ(text.end.finish, Finish::stop);
  EXPECT_EQ(text.end.stop_token, 2);
  request.max_tokens = 1;  // a stop at the limit is a stop
  EXPECT_EQ(read_all(*engine->submit(request)).end.finish, Finish::stop);
}

TEST(EngineSampling, PromptLogprobsAreThoseOfItsLogits) {
  const auto prompt = random_prompt(3, 130, kVocab);
  const std::vector<float> logits = open_golden()->logits(prompt);
  Candidates scratch;
  for (const int64_t step_tokens : {512, 96, 7}) {
    const auto engine = open_golden([&](auto& o) { o.step_tokens = step_tokens; });
    const auto beside = engine->submit(greedy({1, 2, 3}, 40));
    Request request = greedy(prompt, 3);
    request.prompt_logprobs = 2;
    for (const int64_t max_tokens : {3, 0}) {
      request.max_tokens = max_tokens;
      const Text text = read_all(*engine->submit(request));
      EXPECT_EQ(text.end.finish, Finish::length);
      EXPECT_EQ(int64_t(text.tokens.size()), max_tokens);
      ASSERT_EQ(text.prompt.size(), prompt.size() - 1);
      for (size_t i = 0; i + 1 < prompt.size(); ++i) {
        const std::span<const float> row(logits.data() + i * kVocab, kVocab);
        const Logprobs expected = log_probabilities(row, prompt[i + 1], 2, scratch);
        EXPECT_EQ(text.prompt[i].token, prompt[i + 1]);
        EXPECT_EQ(text.prompt[i].logprob, expected.chosen);
        ASSERT_EQ(text.prompt[i].top.size(), 2u);
        EXPECT_EQ(text.prompt[i].top[1].token, expected.top[1].token);
        EXPECT_EQ(text.prompt[i].top[1].logprob, expected.top[1].logprob);
      }
    }
    EXPECT_EQ(read_all(*beside).tokens.size(), 40u);
  }
  const auto engine = open_golden();
  Request one = greedy({5}, 2);
  one.prompt_logprobs = 0;
  EXPECT_EQ(read_all(*engine->submit(one)).tokens.size(), 2u) << "a prompt of one token has none to tell of";
  one.prompt_logprobs = 21;
  EXPECT_THROW(engine->submit(one), Error);
}

class Only final : public LogitProcessor {
 public:
  explicit Only(int32_t token) : token_(token) {}
  void process(std::span<float> logits, const LogitContext& context) const override {
    EXPECT_EQ(logits.size(), size_t(kVocab));
    EXPECT_EQ(context.prompt.size(), 3u);
    const int32_t wanted = token_ + int32_t(context.generated.size());
    for (size_t i = 0; i < logits.size(); ++i) logits[i] = int32_t(i) == wanted ? 0 : NAN;
  }

 private:
  int32_t token_;
};

class Throws final : public LogitProcessor {
 public:
  void process(std::span<float>, const LogitContext& context) const override {
    if (context.generated.size() == 2) throw std::runtime_error("enough of this");
  }
};

TEST(EngineSampling, ProcessorsOfTheCaller) {
  const auto engine = open_golden();
  Request request = greedy({1, 5, 9}, 4);
  request.sampling.processors = {std::make_shared<Only>(7)};
  EXPECT_EQ(read_all(*engine->submit(request)).tokens, (std::vector<int32_t>{7, 8, 9, 10}));
  request.sampling.temperature = 1;
  request.sampling.top_k = 50;
  request.sampling.order = {"top_k", "processors", "temperature"};
  const Text narrowed = read_all(*engine->submit(request));  // where top-k has left the token out, nothing can be chosen
  EXPECT_TRUE(narrowed.end.finish == Finish::error || narrowed.tokens.size() == 4u);
  const auto beside = engine->submit(greedy({1, 2, 3}, 30));
  request = greedy({1, 5, 9}, 9);
  request.sampling.processors = {std::make_shared<Throws>()};
  const Text ended = read_all(*engine->submit(request));
  EXPECT_EQ(ended.end.finish, Finish::error);
  EXPECT_EQ(ended.end.error, "enough of this");
  EXPECT_EQ(ended.tokens.size(), 2u);
  EXPECT_EQ(read_all(*beside).tokens.size(), 30u) << "nobody else is touched";
}

TEST(EngineSampling, NothingLeftToChooseEndsThatRequestWithWords) {
  const auto engine = open_golden();
  Request request = greedy({1, 5, 9}, 9);
  request.sampling.allowed_ids = {4};
  request.sampling.no_repeat_ngram = 1;
  const Text text = read_all(*engine->submit(request));
  EXPECT_EQ(text.tokens, std::vector<int32_t>{4});
  EXPECT_EQ(text.end.finish, Finish::error);
  EXPECT_NE(text.end.error.find("no token can be chosen"), std::string::npos) << text.end.error;
  EXPECT_EQ(read_all(*engine->submit(greedy({1}, 3))).tokens.size(), 3u);
}

TEST(EngineSampling, TextsNeedATokenizer) {
  const auto engine = open_golden();
  Request request = greedy({1, 5, 9}, 9);
  request.sampling.logit_bias_text = {{"hello", 1.0f}};
  EXPECT_THROW(engine->submit(request), Error);
  request = greedy({1, 5, 9}, 9);
  request.sampling.dry_multiplier = 1;
  EXPECT_THROW(engine->submit(request), Error);
  request.sampling.dry_sequence_breakers.clear();
  EXPECT_EQ(read_all(*engine->submit(request)).tokens.size(), 9u);
}

// Stages with a memory or a draw of their own, alone and in a crowd, on one thread and two.
TEST(EngineSampling, StatefulStagesAreTheSameInAnyCompany) {
  const auto many = [](Engine& engine, int others) {
    std::vector<std::unique_ptr<EventStream>> streams;
    for (int i = 0; i < others; ++i) {
      Request other = greedy(random_prompt(uint64_t(i), 5 + 3 * i, kVocab), 12);
      other.sampling.temperature = 1;
      other.sampling.mirostat = 1 + i % 2;
      streams.push_back(engine.submit(other));
    }
    std::vector<Text> out;
    for (int version = 0; version <= 2; ++version) {
      Request request = greedy(random_prompt(9, 30, kVocab), 24);
      SamplingParams& p = request.sampling;
      p.temperature = 0.9f, p.dynamic_temperature_range = 0.4f, p.mirostat = version, p.mirostat_tau = 3;
      p.xtc_probability = 0.5f, p.xtc_threshold = 0.02f, p.typical_p = 0.95f, p.dry_multiplier = 1;
      p.dry_sequence_breakers.clear();
      p.logprobs = 3, p.seed = 17;
      streams.push_back(engine.submit(request));
    }
    for (size_t i = 0; i < streams.size(); ++i) {
      const Text text = read_all(*streams[i]);
      if (i >= size_t(others)) out.push_back(text);
    }
    return out;
  };
  const auto expected = many(*open_golden([](auto& o) { o.threads = 1; }), 0);
  EXPECT_FALSE(expected[0] == expected[1]);
  EXPECT_FALSE(expected[1] == expected[2]);
  EXPECT_EQ(many(*open_golden(), 8), expected);
  EXPECT_EQ(many(*open_golden([](auto& o) { o.step_tokens = 11; }), 3), expected);
}

}  // namespace
}  // namespace gale
