#include "engine/beams.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/file.h"
#include "base/json.h"
#include "engine/test_drafter.h"

// Beam search through the engine: against transformers, and the same whatever else runs and however little memory there is.
namespace gale {
namespace {

using namespace gale::testing;

struct Found {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  size_t tops = 0;
  EndEvent end{};
  bool operator==(const Found& other) const {
    return tokens == other.tokens && logprobs == other.logprobs && end.beam_score == other.end.beam_score &&
           end.finish == other.end.finish;
  }
};

/// By choice, which come in order.
std::vector<Found> all(EventStream& stream) {
  std::vector<Found> out(1);
  while (const auto event = stream.next()) {
    if (const auto* token = std::get_if<TokenEvent>(&*event)) {
      EXPECT_EQ(token->choice, int32_t(out.size()) - 1);
      out.back().tokens.push_back(token->token);
      out.back().logprobs.push_back(token->logprob);
      out.back().tops += token->top.size();
    } else if (const auto* end = std::get_if<EndEvent>(&*event)) {
      EXPECT_EQ(end->choice, int32_t(out.size()) - 1);
      EXPECT_EQ(end->generated_tokens, int64_t(out.back().tokens.size()));
      out.back().end = *end;
      out.emplace_back();
    }
  }
  out.pop_back();
  return out;
}

std::vector<Found> search(Engine& engine, const Request& request) { return all(*engine.submit(request)); }

Request beams_of(int32_t beams, int64_t max_tokens = 40, uint64_t seed = 3, int64_t prompt = 50) {
  Request request = greedy(random_prompt(seed, prompt, kTinyShape.vocab), max_tokens);
  request.beams = request.choices = beams;
  request.sampling.logprobs = 2;
  request.stop_ids = {1, 2, 3};
  return request;
}

BeamStop stop_of(const Json& early) {
  if (early.is_string()) return BeamStop::impossible;
  return early.get<bool>() ? BeamStop::full : BeamStop::unlikely;
}

TEST(Beams, FindWhatTransformersFinds) {
  const Json cases = Json::parse(read_text(golden_path("beams.json")));
  ASSERT_GE(cases.size(), 36u);
  std::map<std::string, std::unique_ptr<Engine>> engines;
  for (const Json& one : cases) {
    auto& engine = engines[one.at("model").get<std::string>()];
    if (!engine) {
      EngineOptions options;
      options.model = golden_path(one.at("model").get<std::string>()).string();
      options.threads = 2;
      options.exact = true;
      options.kv_bytes = 8 << 20;
      engine = Engine::open(options);
    }
    Request request = greedy(one.at("ids").get<std::vector<int32_t>>(), one.at("max_tokens").get<int64_t>());
    request.beams = request.choices = one.at("beams").get<int32_t>();
    request.length_penalty = one.at("length_penalty").get<float>();
    request.beam_stop = stop_of(one.at("early_stopping"));
    request.stop_ids = one.at("end").get<std::vector<int32_t>>();
    request.include_stop = true;
    const auto found = search(*engine, request);
    ASSERT_EQ(found.size(), one.at("texts").size());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].tokens, one.at("texts")[i].at("ids").get<std::vector<int32_t>>()) << one.dump();
      const double score = one.at("texts")[i].at("score").get<double>();
      EXPECT_NEAR(double(found[i].end.beam_score), score, 1e-3 * std::max(1.0, std::fabs(score)));
    }
  }
}

TEST(Beams, OneIsTheGreedyText) {
  const auto engine = open_tiny_model({}, nullptr);
  Request request = beams_of(1);
  const auto found = search(*engine, request);
  request.beams = 0;
  const Text text = read_all(*engine->submit(request));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].tokens, text.tokens);
  EXPECT_EQ(found[0].end.finish, text.end.finish);
  EXPECT_EQ(found[0].end.stop_token, text.end.stop_token);
  EXPECT_EQ(found[0].end.prompt_tokens, 50);
}

// The score is that of the model's own log probabilities, asked for by another way.
TEST(Beams, ScoresAreThoseOfTheText) {
  const auto engine = open_tiny_model({}, nullptr);
  Request request = beams_of(4);
  request.include_stop = true;
  const auto found = search(*engine, request);
  ASSERT_EQ(found.size(), 4u);
  for (const Found& text : found) {
    Request whole = greedy(request.tokens, 0);
    whole.tokens.insert(whole.tokens.end(), text.tokens.begin(), text.tokens.end());
    whole.prompt_logprobs = 0;
    const Text asked = read_all(*engine->submit(whole));
    double sum = 0;
    for (size_t i = 0; i < text.tokens.size(); ++i) {
      const float logprob = asked.prompt[request.tokens.size() - 1 + i].logprob;
      EXPECT_NEAR(text.logprobs[i], logprob, 1e-5);
      sum += double(logprob);
    }
    EXPECT_NEAR(double(text.end.beam_score), sum / double(text.tokens.size()), 1e-5);
    EXPECT_EQ(text.tops, 2 * text.tokens.size());
  }
  for (size_t i = 1; i < found.size(); ++i) EXPECT_LE(found[i].end.beam_score, found[i - 1].end.beam_score);
}

// Four beams of up to 90 tokens want at least 2 blocks and one for each; what little there is beyond one text is fought for.
TEST(BitIdentityBeams, TheSameWhateverElseRunsAndHoweverLittleThereIs) {
  std::vector<std::vector<Found>> expected;
  {
    const auto engine = open_tiny_model({}, nullptr);
    for (uint64_t seed = 1; seed <= 3; ++seed) expected.push_back(search(*engine, beams_of(4, 70, seed)));
    EXPECT_EQ(engine->stats().preemptions, 0);
    EXPECT_GT(expected[0][0].tokens.size(), 1u);
  }
  const int64_t block = 64 * 2 * 2 * 2 * 64 * 2;
  int64_t preemptions = 0;
  const std::function<void(EngineOptions&)> settings[] = {
      [](auto& o) { o.step_tokens = 7; },
      [](auto& o) { o.threads = 2; },
      [](auto& o) { o.max_sequences = 5; },
      [](auto& o) { o.prefix_cache = false; },
      [](auto& o) { o.kv_block = 16; },
      [&](auto& o) { o.kv_bytes = 2 * block, o.context = 128; },
      [&](auto& o) { o.kv_bytes = 3 * block, o.context = 128; },
      [&](auto& o) { o.kv_bytes = 2 * block, o.context = 128, o.prefix_cache = false; },
      [&](auto& o) { o.kv_bytes = 5 * block, o.context = 128, o.kv_block = 16; },
  };
  for (size_t i = 0; i < std::size(settings); ++i) {
    const auto engine = open_tiny_model(settings[i], nullptr);
    std::vector<std::unique_ptr<EventStream>> streams;
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      streams.push_back(engine->submit(beams_of(4, 70, seed)));
      streams.push_back(engine->submit(drawn(random_prompt(seed + 20, 30, kTinyShape.vocab), 25, seed)));
    }
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      const std::vector<Found> found = all(*streams[2 * (seed - 1)]);
      ASSERT_EQ(found.size(), 4u);
      for (size_t k = 0; k < found.size(); ++k) {
        EXPECT_TRUE(found[k] == expected[seed - 1][k])
            << "setting " << i << ", seed " << seed << ", text " << k << ": " << found[k].end.error << found[k].end.beam_score;
      }
    }
    for (uint64_t seed = 1; seed <= 3; ++seed) read_all(*streams[2 * seed - 1]);
    const EngineStats stats = settled(*engine);
    EXPECT_EQ(stats.kv_held_bytes, 0) << i;
    preemptions += stats.preemptions;
  }
  EXPECT_GT(preemptions, 50) << "the control: there is too little";
}

TEST(Beams, FewerComeOutThanAreFollowed) {
  const auto engine = open_tiny_model({}, nullptr);
  Request request = beams_of(6);
  const auto everything = search(*engine, request);
  request.choices = 2;
  const auto best = search(*engine, request);
  ASSERT_EQ(best.size(), 2u);
  EXPECT_TRUE(best[0] == everything[0] && best[1] == everything[1]);
}

TEST(Beams, MasksAndPenaltiesCount) {
  const auto engine = open_tiny_model({}, nullptr);
  Request request = beams_of(3, 20);
  request.sampling.allowed_ids = {10, 11, 12, 13};
  request.sampling.no_repeat_ngram = 2;
  for (const Found& text : search(*engine, request)) {
    std::map<std::pair<int32_t, int32_t>, int> pairs;
    for (size_t i = 0; i < text.tokens.size(); ++i) {
      EXPECT_TRUE(text.tokens[i] >= 10 && text.tokens[i] <= 13);
      if (i > 0) EXPECT_EQ(++pairs[std::pair(text.tokens[i - 1], text.tokens[i])], 1);
    }
  }
}

TEST(Beams, TooFewTextsSaySo) {
  const auto engine = open_tiny_model({}, nullptr);
  Request request = beams_of(3, 5);
  request.sampling.allowed_ids = {10};
  const auto found = search(*engine, request);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].tokens, std::vector<int32_t>(5, 10));
  EXPECT_EQ(found[0].end.finish, Finish::length);
  EXPECT_EQ(found[2].end.finish, Finish::error);
  EXPECT_NE(found[2].end.error.find("found 1 texts"), std::string::npos) << found[2].end.error;
}

TEST(Beams, EndWhereTheContextEnds) {
  const auto engine = open_tiny_model([](auto& o) { o.context = 64; }, nullptr);
  Request request = beams_of(3, -1);
  request.stop_ids.clear();
  for (const Found& text : search(*engine, request)) {
    EXPECT_EQ(text.end.finish, Finish::length);
    EXPECT_EQ(text.tokens.size(), 15u) << "the last of them has no slot";
  }
}

TEST(Beams, EndByTimeCancelAndFailure) {
  const auto engine = open_tiny_model({}, nullptr);
  Request request = beams_of(4, -1, 9, 5);
  request.stop_ids.clear();
  request.timeout_seconds = 0.15;
  for (const Found& text : search(*engine, request)) {
    EXPECT_EQ(text.end.finish, Finish::timeout);
    EXPECT_GT(text.tokens.size(), 0u) << "what there was";
  }
  request.timeout_seconds = 0;
  const auto stream = engine->submit(request);
  while (engine->stats().running < 4) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  engine->cancel(stream->id());
  const auto cancelled = all(*stream);
  ASSERT_EQ(cancelled.size(), 4u);
  for (const Found& text : cancelled) EXPECT_EQ(text.end.finish, Finish::cancelled);

  struct Failing : LogitProcessor {
    void process(std::span<float>, const LogitContext& context) const override {
      if (context.generated.size() == 3) throw std::runtime_error("enough");
    }
  };
  request.sampling.processors = {std::make_shared<Failing>()};
  const auto failed = search(*engine, request);
  ASSERT_EQ(failed.size(), 4u);
  EXPECT_EQ(failed[3].end.finish, Finish::error);
  EXPECT_EQ(failed[3].end.error, "enough");
  EXPECT_EQ(settled(*engine).kv_held_bytes, 0);
}

TEST(Beams, WithPromptLogprobsAndWithoutTokens) {
  const auto engine = open_tiny_model({}, nullptr);
  Request request = beams_of(3, 4);
  request.prompt_logprobs = 0;
  const auto stream = engine->submit(request);
  const auto first = stream->next();
  ASSERT_TRUE(first && std::holds_alternative<PromptEvent>(*first));
  EXPECT_EQ(std::get<PromptEvent>(*first).tokens.size(), 49u);
  EXPECT_EQ(all(*stream).size(), 3u);
  request.max_tokens = 0;
  for (const int32_t logprobs : {0, -1}) {
    request.prompt_logprobs = logprobs;
    const auto none = search(*engine, request);
    ASSERT_EQ(none.size(), 3u);
    for (const Found& text : none) EXPECT_TRUE(text.tokens.empty() && text.end.finish == Finish::length);
  }
}

TEST(Beams, AreChecked) {
  const auto engine = open_tiny_model([](auto& o) { o.max_sequences = 8; }, nullptr);
  const std::function<void(Request&)> wrongs[] = {
      [](auto& r) { r.beams = -1; },
      [](auto& r) { r.beams = 9; },
      [](auto& r) { r.choices = 5; },
      [](auto& r) { r.best_of = 6; },
      [](auto& r) { r.length_penalty = NAN; },
      [](auto& r) { r.length_penalty = 1e9f; },
      [](auto& r) { r.sampling.temperature = 0.5f; },
  };
  for (size_t i = 0; i < std::size(wrongs); ++i) {
    Request request = beams_of(4, 3);
    wrongs[i](request);
    EXPECT_THROW(engine->submit(request), Error) << i;
  }
  EXPECT_EQ(search(*engine, beams_of(8, 3)).size(), 8u);
}

}  // namespace
}  // namespace gale
