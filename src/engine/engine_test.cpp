#include "gale/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <thread>

#include "base/threads.h"
#include "checkpoint/checkpoint.h"
#include "engine/open_engine.h"
#include "engine/test_engine.h"
#include "sampling/sampler.h"

namespace gale {
namespace {

using namespace gale::testing;

EngineOptions golden_options(const std::string& name = "llama3") {
  EngineOptions options;
  options.model = golden_path(name).string();
  options.threads = 2;
  options.exact = true;
  options.kv_bytes = 1 << 22;
  return options;
}

std::unique_ptr<Engine> open_golden(const std::function<void(EngineOptions&)>& change = {}) {
  EngineOptions options = golden_options();
  if (change) change(options);
  return Engine::open(options);
}

// A model whose requests run for thousands of steps, where nothing stops them.
std::unique_ptr<Engine> open_endless() {
  ThreadPool pool(1);
  EngineOptions options;
  options.model = "random:tiny";
  options.threads = 2;
  options.context = 100000;
  return open_engine(options, random_checkpoint(kTinyShape, "q8_0", pool));
}

TEST(Engine, InfoSaysWhatRuns) {
  const auto engine = open_golden();
  const ModelInfo& info = engine->info();
  EXPECT_EQ(info.architecture, "LlamaForCausalLM");
  EXPECT_EQ(info.layers, 3);
  EXPECT_EQ(info.hidden, 64);
  EXPECT_EQ(info.vocab, 160);
  EXPECT_EQ(info.context, 512);
  EXPECT_EQ(info.kv_type, "f32");
  EXPECT_EQ(info.threads, 2);
  EXPECT_EQ(info.end_tokens, std::vector<int32_t>{2});
  EXPECT_GT(info.parameters, 0);
  EXPECT_GT(info.packed_bytes, 0);
  EXPECT_GT(info.scratch_bytes, 0);
  EXPECT_EQ(info.kv_bytes_per_token, 3 * 2 * 2 * 16 * 4);
  EXPECT_EQ(engine->tokenizer(), nullptr);
  EXPECT_EQ(engine->chat_template(), nullptr);
}

TEST(Engine, MaxTokensIsALimit) {
  const auto engine = open_golden();
  for (const int64_t n : {0, 1, 5}) {
    const Text text = read_all(*engine->submit(greedy({1, 5, 9}, n)));
    EXPECT_EQ(text.end.finish, Finish::length);
    EXPECT_EQ(int64_t(text.tokens.size()), n);
    EXPECT_EQ(text.end.prompt_tokens, 3);
    EXPECT_GE(text.end.queue_seconds, 0);
    EXPECT_GE(text.end.prefill_seconds, 0);
    EXPECT_GE(text.end.decode_seconds, 0);
  }
}

TEST(Engine, StopIdsAndEndTokensEndTheTextUnsent) {
  const auto engine = open_golden();
  const Text whole = read_all(*engine->submit(greedy({1, 5, 9}, 12)));
  ASSERT_EQ(whole.tokens.size(), 12u);
  Request request = greedy({1, 5, 9}, 12);
  request.stop_ids = {whole.tokens[4]};
  const Text cut = read_all(*engine->submit(request));
  EXPECT_EQ(cut.end.finish, Finish::stop);
  const auto first = std::find(whole.tokens.begin(), whole.tokens.end(), whole.tokens[4]);
  EXPECT_EQ(cut.tokens, std::vector<int32_t>(whole.tokens.begin(), first));
  // The model's own end token, made the only choice.
  request = greedy({1, 5, 9}, 12);
  request.sampling.logit_bias = {{2, 1e4f}};
  EXPECT_EQ(read_all(*engine->submit(request)).tokens, std::vector<int32_t>(12, 2)) << "ignore_eos goes on";
  request.ignore_eos = false;
  const Text ended = read_all(*engine->submit(request));
  EXPECT_EQ(ended.end.finish, Finish::stop);
  EXPECT_TRUE(ended.tokens.empty());
}

TEST(Engine, ContextFullEndsWithLength) {
  const auto engine = open_golden([](auto& o) { o.context = 64; });
  const Text text = read_all(*engine->submit(greedy(random_prompt(1, 10, 160), -1)));
  EXPECT_EQ(text.end.finish, Finish::length);
  EXPECT_EQ(text.tokens.size(), 55u);
  const Text brim = read_all(*engine->submit(greedy(random_prompt(1, 64, 160), -1)));
  EXPECT_EQ(brim.end.finish, Finish::length);
  EXPECT_EQ(brim.tokens.size(), 1u) << "a full context still gives the token after it";
}

TEST(Engine, SmallKvPoolShrinksTheContextOrRefusesTheOneAskedFor) {
  const auto engine = open_golden([](auto& o) { o.kv_bytes = 2 * 64 * 3 * 2 * 2 * 16 * 4; });
  EXPECT_EQ(engine->info().context, 128);
  try {
    open_golden([](auto& o) { o.kv_bytes = 2 * 64 * 3 * 2 * 2 * 16 * 4, o.context = 200; });
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::out_of_memory);
  }
}

TEST(Engine, BadRequestsAreRefusedByName) {
  const auto engine = open_golden([](auto& o) { o.context = 64; });
  const auto expect = [&](const std::string& word, const std::function<void(Request&)>& spoil) {
    Request request = greedy({1, 2}, 4);
    spoil(request);
    try {
      engine->submit(request);
      ADD_FAILURE() << word;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
      EXPECT_NE(std::string(e.what()).find(word), std::string::npos) << e.what();
    }
  };
  expect("empty", [](Request& r) { r.tokens.clear(); });
  expect("160", [](Request& r) {
    r.tokens = {1, 160};
    r.tokens[1] = 160;
  });
  expect("-1", [](Request& r) { r.tokens = {-1}; });
  expect("65 tokens", [](Request& r) { r.tokens.assign(65, 1); });
  expect("max_tokens", [](Request& r) { r.max_tokens = -2; });
  expect("stop_ids", [](Request& r) { r.stop_ids = {160}; });
  expect("temperature", [](Request& r) { r.sampling.temperature = NAN; });
  expect("top_p", [](Request& r) { r.sampling.top_p = 2; });
  expect("logit_bias", [](Request& r) { r.sampling.logit_bias = {{500, 1}}; });
  EXPECT_THROW(engine->logits({}), Error);
  EXPECT_THROW(engine->logits({160}), Error);
  EXPECT_EQ(read_all(*engine->submit(greedy({1, 2}, 4))).tokens.size(), 4u) << "and the engine goes on";
}

TEST(Engine, BadOptionsAreRefused) {
  for (const auto& spoil : std::vector<std::function<void(EngineOptions&)>>{
           [](auto& o) { o.threads = -1; }, [](auto& o) { o.isa = "mmx"; }, [](auto& o) { o.kv_type = "q3"; },
           [](auto& o) { o.step_tokens = 0; }, [](auto& o) { o.max_sequences = 0; }, [](auto& o) { o.quant = "q9"; },
           [](auto& o) { o.context = -5; }, [](auto& o) { o.kv_bytes = 10; }, [](auto& o) { o.model = ""; },
           [](auto& o) { o.model = "random:gpt-9"; }})
    EXPECT_THROW(open_golden(spoil), Error);
}

TEST(Engine, CancelEndsARunningRequest) {
  const auto engine = open_endless();
  const auto stream = engine->submit(greedy({1, 2, 3}, -1));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(std::holds_alternative<TokenEvent>(stream->next().value()));
  engine->cancel(stream->id());
  int64_t tokens = 3;
  std::optional<EndEvent> end;
  while (const auto event = stream->next())
    if (std::holds_alternative<TokenEvent>(*event))
      ++tokens;
    else
      end = std::get<EndEvent>(*event);
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->finish, Finish::cancelled);
  EXPECT_EQ(end->generated_tokens, tokens);
  EXPECT_FALSE(stream->next().has_value());
  engine->cancel(stream->id());
  engine->cancel(12345);
}

TEST(Engine, DestroyedStreamsGiveTheirPlaceBack) {
  ThreadPool pool(1);
  EngineOptions options;
  options.model = "random:tiny";
  options.threads = 1;
  options.max_sequences = 1;
  const auto engine = open_engine(options, random_checkpoint(kTinyShape, "q8_0", pool));
  for (int i = 0; i < 20; ++i) engine->submit(greedy({1, 2, 3}, -1));
  EXPECT_EQ(read_all(*engine->submit(greedy({4}, 3))).tokens.size(), 3u);
}

TEST(Engine, NextWithTimeoutComesBack) {
  const auto engine = open_endless();
  const auto busy = engine->submit(greedy({1}, -1));
  ASSERT_TRUE(busy->next());
  const auto idle = open_endless()->submit(greedy({1}, 0));
  EXPECT_TRUE(idle->next());
  EXPECT_FALSE(idle->next(std::chrono::milliseconds(1)).has_value());
  while (busy->next(std::chrono::milliseconds(0))) {
  }
}

TEST(Engine, StreamsOutliveTheirEngine) {
  std::unique_ptr<EventStream> running, waiting;
  {
    const auto engine = open_endless();
    running = engine->submit(greedy({1, 2}, -1));
    ASSERT_TRUE(running->next());
    waiting = engine->submit(greedy({3}, -1));
  }
  std::optional<Event> last;
  while (auto event = running->next()) last = event;
  EXPECT_EQ(std::get<EndEvent>(*last).finish, Finish::cancelled);
  waiting.reset();
}

TEST(Engine, ManyThreadsSubmitCancelAndRead) {
  const auto engine = open_golden([](auto& o) { o.max_sequences = 5, o.step_tokens = 32, o.kv_bytes = 12 * 98304; });
  std::vector<Text> alone;
  for (uint64_t i = 0; i < 4; ++i)
    alone.push_back(read_all(*engine->submit(greedy(random_prompt(i, 5 + 9 * int64_t(i), 160), 20))));
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < 6; ++i) {
        const uint64_t which = (t + i) % 4;
        const auto stream = engine->submit(greedy(random_prompt(which, 5 + 9 * int64_t(which), 160), 20));
        if ((t + i) % 5 == 0) engine->cancel(stream->id());
        if ((t + i) % 7 == 0) continue;
        const Text text = read_all(*stream);
        if (text.end.finish == Finish::length) EXPECT_EQ(text.tokens, alone[which].tokens);
        if (i == 3) EXPECT_EQ(engine->logits({1, 2, 3}).size(), 3u * 160u);
      }
    });
  for (auto& thread : threads) thread.join();
}

TEST(Engine, LogitsAgreeWithLogprobsOfTheSameRows) {
  const auto engine = open_golden([](auto& o) { o.step_tokens = 7; });
  const auto prompt = random_prompt(3, 40, 160);
  Request request = greedy(prompt, 1);
  request.sampling.logprobs = 20;
  const auto stream = engine->submit(request);
  const auto event = std::get<TokenEvent>(stream->next().value());
  const std::vector<float> logits = engine->logits(prompt);
  ASSERT_EQ(logits.size(), 40u * 160u);
  Candidates scratch;
  const Logprobs expected = log_probabilities(std::span(logits).last(160), event.token, 20, scratch);
  EXPECT_EQ(event.logprob, expected.chosen);
  ASSERT_EQ(event.top.size(), 20u);
  EXPECT_EQ(event.top[0].token, event.token) << "greedy takes the most likely";
  double sum = 0;
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(event.top[i].logprob, expected.top[i].logprob);
    sum += std::exp(double(event.top[i].logprob));
  }
  EXPECT_GT(sum, 0.1);
  EXPECT_LE(sum, 1 + 1e-6);
  // All of the vocabulary sums to one.
  double all = 0;
  for (int32_t t = 0; t < 160; ++t) all += std::exp(double(log_probabilities(std::span(logits).last(160), t, 0, scratch).chosen));
  EXPECT_NEAR(all, 1, 1e-5);
}

TEST(Engine, LogitsLongerThanAStepRunBesideOthers) {
  const auto engine = open_golden([](auto& o) { o.step_tokens = 96; });
  const auto busy = engine->submit(greedy({1, 2, 3}, 300));
  const auto prompt = random_prompt(8, 400, 160);
  const auto whole = engine->logits(prompt);
  const auto alone = open_golden()->logits(prompt);
  EXPECT_EQ(whole, alone);
  EXPECT_EQ(read_all(*busy).end.finish, Finish::length);
}

TEST(Engine, QuantizedWhileLoading) {
  const auto plain = open_golden();
  const auto quantized = open_golden([](auto& o) { o.quant = "q8_0"; });
  EXPECT_LT(quantized->info().packed_bytes, plain->info().packed_bytes);
  const auto prompt = random_prompt(2, 12, 160);
  const auto a = plain->logits(prompt), b = quantized->logits(prompt);
  double worst = 0, range = 0;
  for (size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::fabs(double(a[i]) - b[i])), range = std::max(range, std::fabs(double(a[i])));
  EXPECT_GT(worst, 0);
  EXPECT_LT(worst, 0.15 * range) << "a random model 64 wide has few terms to average over";
}

}  // namespace
}  // namespace gale
