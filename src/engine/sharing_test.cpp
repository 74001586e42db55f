#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <set>
#include <thread>

#include "base/threads.h"
#include "engine/test_drafter.h"
#include "engine/test_engine.h"

// Requests that share what was computed, give way, come in several choices or too late: as the engine's callers see them.
namespace gale {
namespace {

using namespace gale::testing;

std::unique_ptr<Engine> open_tiny(const std::function<void(EngineOptions&)>& change = {},
                                  std::unique_ptr<Drafter> drafter = nullptr) {
  return open_tiny_model(change, std::move(drafter));
}

TEST(PrefixCache, LaterRequestsStartWhereEarlierOnesLeft) {
  const auto engine = open_tiny();
  const Request first = drawn(random_prompt(1, 200, 120), 100, 7);
  const Text fresh = ask(*engine, first), again = ask(*engine, first);
  EXPECT_EQ(fresh.end.cached_tokens, 0);
  EXPECT_EQ(again.end.cached_tokens, 192);
  EXPECT_EQ(again, fresh) << "to the last bit";
  Request turn = first;  // what was said and answered, and more
  turn.tokens.insert(turn.tokens.end(), fresh.tokens.begin(), fresh.tokens.end());
  turn.tokens.push_back(5);
  const Text next = ask(*engine, turn);
  EXPECT_EQ(next.end.cached_tokens, 256) << "of 301, what was generated among them";
  const auto plain = open_tiny([](auto& o) { o.prefix_cache = false; });
  EXPECT_EQ(ask(*plain, turn), next);
  EXPECT_EQ(ask(*plain, turn).end.cached_tokens, 0);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.prompt_tokens, 200 + 200 + 301);
  EXPECT_EQ(stats.cached_tokens, 192 + 256);
  EXPECT_GT(stats.kv_kept_bytes, 0);
}

TEST(PrefixCache, OtherSaltsShareNothing) {
  const auto engine = open_tiny();
  Request request = drawn(random_prompt(1, 200, 120), 2, 7);
  request.salt = "one tenant";
  ask(*engine, request);
  request.salt = "another";
  EXPECT_EQ(ask(*engine, request).end.cached_tokens, 0);
  EXPECT_EQ(ask(*engine, request).end.cached_tokens, 192);
}

TEST(PrefixCache, OtherWeightsFindNothing) {
  const auto engine = open_tiny();
  const Request request = drawn(random_prompt(1, 200, 120), 10, 7);
  ask(*engine, request);
  engine->requantize("q4_0");
  const Text after = ask(*engine, request);
  EXPECT_EQ(after.end.cached_tokens, 0);
  EXPECT_EQ(after, ask(*open_tiny([](auto& o) { o.quant = "q4_0"; }), request));
}

TEST(Choices, DifferAndShareTheirPrompt) {
  const auto engine = open_tiny();
  Request request = drawn(random_prompt(2, 150, 120), 12, 99);
  const Text alone = ask(*engine, request);
  const auto fresh = open_tiny();
  request.choices = 5;
  const auto stream = fresh->submit(request);
  std::vector<std::vector<int32_t>> tokens(5);
  int ends = 0;
  while (const auto event = stream->next()) {
    if (const auto* token = std::get_if<TokenEvent>(&*event)) tokens[size_t(token->choice)].push_back(token->token);
    if (const auto* end = std::get_if<EndEvent>(&*event)) {
      ++ends;
      EXPECT_EQ(end->generated_tokens, 12);
      EXPECT_EQ(end->cached_tokens, end->choice == 0 ? 0 : 149) << "all but the last token of the prompt";
    }
  }
  EXPECT_EQ(ends, 5);
  EXPECT_EQ(tokens[0], alone.tokens);
  EXPECT_EQ(std::set(tokens.begin(), tokens.end()).size(), 5u);
  request.choices = 0;
  EXPECT_THROW(engine->submit(request), Error);
}

TEST(Choices, AreCancelledTogether) {
  const auto engine = open_tiny([](auto& o) { o.context = 100000; });
  Request request = drawn({1, 2, 3}, -1, 1);
  request.choices = 3;
  const auto stream = engine->submit(request);
  ASSERT_TRUE(stream->next());
  engine->cancel(stream->id());
  int ends = 0;
  while (const auto event = stream->next())
    if (const auto* end = std::get_if<EndEvent>(&*event)) ends += end->finish == Finish::cancelled;
  EXPECT_EQ(ends, 3);
}

TEST(Deadlines, EndWhatRunsAndWhatWaits) {
  const auto engine = open_tiny([](auto& o) { o.context = 100000, o.max_sequences = 1; });
  Request request = greedy({1, 2, 3}, -1);
  request.timeout_seconds = 0.2;
  const auto running = engine->submit(request);
  ASSERT_TRUE(running->next());
  const auto waiting = engine->submit(request);
  const Text late = read_all(*waiting);
  EXPECT_EQ(late.end.finish, Finish::timeout);
  while (const auto event = running->next())
    if (const auto* end = std::get_if<EndEvent>(&*event)) EXPECT_EQ(end->finish, Finish::timeout);
  EXPECT_EQ(engine->stats().waiting_tokens, 0);
  request.timeout_seconds = -1;
  EXPECT_THROW(engine->submit(request), Error);
}

TEST(Queue, RefusesWhatIsTooMuchAndTakesItLater) {
  const auto engine = open_tiny([](auto& o) { o.context = 100000, o.max_sequences = 1, o.max_queue_tokens = 10; });
  auto running = engine->submit(greedy(random_prompt(1, 30, 120), -1));
  ASSERT_TRUE(running->next()) << "longer than the bound, but nothing else waits";
  const auto first = engine->submit(greedy(random_prompt(2, 6, 120), 3));
  try {
    engine->submit(greedy(random_prompt(3, 6, 120), 3));
    FAIL() << "taken";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::busy);
    EXPECT_EQ(http_status(e.code()), 429);
    EXPECT_NE(std::string(e.what()).find("6 prompt tokens are waiting"), std::string::npos) << e.what();
  }
  running.reset();
  EXPECT_EQ(read_all(*first).tokens.size(), 3u);
  EXPECT_EQ(read_all(*engine->submit(greedy(random_prompt(3, 6, 120), 3))).tokens.size(), 3u);
}

TEST(Queue, CountsAPromptOnceForAllItsChoices) {
  const auto engine = open_tiny([](auto& o) { o.context = 100000, o.max_sequences = 1, o.max_queue_tokens = 60; });
  auto running = engine->submit(greedy({1}, -1));
  ASSERT_TRUE(running->next());
  Request many = drawn(random_prompt(2, 40, 120), 2, 1);
  many.choices = 10;
  const auto choices = engine->submit(many);
  EXPECT_EQ(engine->stats().waiting_tokens, 49);
  const auto beside = engine->submit(greedy(random_prompt(3, 11, 120), 2));
  EXPECT_THROW(engine->submit(greedy({1}, 2)), Error);
  running.reset();
  EXPECT_EQ(read_all(*beside).tokens.size(), 2u);
  int ends = 0;
  while (const auto event = choices->next()) ends += std::holds_alternative<EndEvent>(*event);
  EXPECT_EQ(ends, 10);
  EXPECT_EQ(engine->stats().waiting_tokens, 0);
}

TEST(Background, EndsAfterWhatCameLater) {
  const auto engine = open_tiny([](auto& o) { o.max_sequences = 1; });
  Request slow = greedy(random_prompt(1, 30, 120), 200);
  slow.background = true;
  const auto background = engine->submit(slow);
  ASSERT_TRUE(background->next());
  EXPECT_EQ(ask(*engine, greedy(random_prompt(2, 30, 120), 5)).end.finish, Finish::length);
  EXPECT_GE(engine->stats().preemptions, 1);
  int64_t rest = 1;
  while (const auto event = background->next()) rest += std::holds_alternative<TokenEvent>(*event);
  EXPECT_EQ(rest, 200);
}

// Each from a thread of its own, as a server's clients are.
TEST(Clients, OneToManyAtOnceGetWhatEachGetsAlone) {
  std::vector<Text> expected;
  const auto request = [](uint64_t client) {
    return drawn(random_prompt(client % 40, 5 + int64_t(client % 70), 120), 8, client);
  };
  {
    const auto plain = open_tiny({});
    for (uint64_t client = 0; client < 256; ++client) expected.push_back(ask(*plain, request(client)));
  }
  const auto engine = open_tiny([](auto& o) { o.threads = 2; });
  for (const uint64_t clients : {1, 7, 64, 256}) {
    std::vector<std::thread> threads;
    std::atomic<int> right = 0;
    for (uint64_t client = 0; client < clients; ++client)
      threads.emplace_back([&, client] {
        if (client % 5 == 4) engine->submit(request(client + 1000));  // gone before its answer
        if (ask(*engine, request(client)) == expected[client]) ++right;
      });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(uint64_t(right), clients);
  }
  EXPECT_EQ(settled(*engine).kv_held_bytes, 0);
}

// Random requests, many of which begin alike: alone on an engine that shares nothing, then all at once under random arrival,
// small pools, odd steps, several threads, choices, cancels, drafts of all kinds, and what an engine before this one has left on
// disk. GALE_SOAK is the number of rounds.
TEST(BitIdentitySoak, WhateverElseTheEngineDoes) {
  const char* wish = std::getenv("GALE_SOAK");
  const int rounds = wish ? std::atoi(wish) : 1;
  int64_t accepted = 0;
  for (int round = 0; round < rounds; ++round)
    for (const char* type : {"f32", "bf16", "q8_0", "fp8/q4_0"}) {
      SplitMix64 rng{uint64_t(round) * 7 + uint64_t(type[0])};
      const auto below = [&](uint64_t n) { return int64_t(rng() % n); };
      const auto plain = open_tiny([&](auto& o) { o.kv_type = type, o.prefix_cache = false; });
      std::vector<Request> requests;
      const bool searches = below(2) == 0;
      for (int i = 0; i < 40; ++i) {
        std::vector<int32_t> prompt = random_prompt(rng(), 1 + below(300), 120);
        if (i > 0 && below(3) > 0) {
          const auto& other = requests[size_t(below(requests.size()))].tokens;
          prompt.insert(prompt.begin(), other.begin(), other.begin() + 1 + below(other.size()));
          prompt.resize(std::min<size_t>(prompt.size(), 500));
        }
        requests.push_back(drawn(std::move(prompt), 1 + below(40), rng()));
        if (below(3) == 0) requests.back().sampling.temperature = 0;
        if (below(5) == 0 && requests.back().sampling.temperature > 0) requests.back().sampling.mirostat = int32_t(1 + below(2));
        if (searches && requests.back().sampling.temperature == 0 && below(2) == 0) {
          requests.back().beams = int32_t(1 + below(4));
          requests.back().stop_ids = {int32_t(below(120)), int32_t(below(120))};
        }
        if (below(4) == 0) requests.back().background = true;
        if (below(5) == 0) requests.back().draft_max = int32_t(below(20));
      }
      std::vector<Text> expected;
      std::vector<std::vector<int32_t>> texts;
      for (const Request& r : requests) {
        expected.push_back(ask(*plain, r));
        texts.push_back(r.tokens);
        texts.back().insert(texts.back().end(), expected.back().tokens.begin(), expected.back().tokens.end());
      }
      const int64_t blocks = 12 + below(20);
      const uint64_t wrong[] = {1, 2, 5, 20};
      const bool lookup = below(4) == 0;
      auto drafter = std::make_unique<GuessingDrafter>(std::move(texts), wrong[below(4)], int32_t(kTinyShape.vocab));
      const TemporaryFolder folder;
      const bool restarts = below(2) == 0;
      const auto change = [&, block = 16 << below(3)](EngineOptions& o) {
        o.kv_type = type, o.kv_block = block, o.context = 600;
        if (restarts) o.prefix_store = (folder / "store").string(), o.prefix_store_bytes = (1 + below(40)) << 18;
      };
      if (restarts) {
        const auto before = open_tiny(change);
        for (const Request& r : requests)
          if (below(4) == 0) ask(*before, r);
      }
      const auto busy = open_tiny(
          [&](auto& o) {
            change(o);
            o.max_queue_tokens = 1 << 30, o.kv_bytes = blocks * 64 * plain->info().kv_bytes_per_token;
            o.threads = 1 + int(below(3)), o.step_tokens = 1 + below(130), o.max_sequences = int32_t(1 + below(12));
            if (searches) o.step_tokens += 3, o.max_sequences += 3;
            o.step_seconds = below(2) == 0 ? 1e-4 : 0.1;
            o.draft = lookup ? "ngram" : "";
            o.draft_max = int32_t(1 + below(40)), o.draft_min = below(2) == 0 ? 0 : o.draft_max;
          },
          lookup ? nullptr : std::move(drafter));
      std::vector<std::unique_ptr<EventStream>> streams, noise;
      for (size_t i = 0; i < requests.size(); ++i) {
        if (below(4) == 0) {
          noise.push_back(busy->submit(requests[size_t(below(requests.size()))]));
          if (below(2) == 0) noise.pop_back();
        }
        streams.push_back(busy->submit(requests[i]));
        if (below(6) == 0) std::this_thread::sleep_for(std::chrono::milliseconds(below(20)));
      }
      for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(read_all(*streams[i]), expected[i]) << type << ", request " << i;
      for (auto& stream : noise) read_all(*stream);
      const EngineStats stats = busy->stats();
      EXPECT_GT(stats.cached_tokens, 0);
      accepted += stats.accepted_tokens;
    }
  if (rounds > 3) EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace gale
