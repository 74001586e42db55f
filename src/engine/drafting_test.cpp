#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <map>
#include <stdexcept>
#include <thread>

#include "base/threads.h"
#include "engine/test_drafter.h"
#include "engine/test_engine.h"

// Drafts change when tokens come, and nothing else.
namespace gale {
namespace {

using namespace gale::testing;

constexpr int32_t kDepth = 8;
const int32_t kVocab = int32_t(kTinyShape.vocab);

// Drafts of kDepth tokens, whether they pay or not: what a test sees must not hang on the clock.
std::unique_ptr<Engine> open_tiny(std::unique_ptr<Drafter> drafter, const std::function<void(EngineOptions&)>& change = {}) {
  const auto deep = [&](EngineOptions& o) {
    o.draft_max = o.draft_min = kDepth;
    if (change) change(o);
  };
  return open_tiny_model(deep, std::move(drafter));
}

std::unique_ptr<Drafter> knowing(std::vector<std::vector<int32_t>> texts, uint64_t wrong = 0) {
  return std::make_unique<GuessingDrafter>(std::move(texts), wrong, kVocab);
}
std::unique_ptr<Drafter> calling(std::function<void(std::span<const DraftTask>)> call) {
  return std::make_unique<CallingDrafter>(std::move(call));
}

Text plainly(const Request& request) {
  static const auto engine = open_tiny(nullptr);
  return ask(*engine, request);
}

std::vector<int32_t> whole(const Request& request, const Text& answer) {
  std::vector<int32_t> out = request.tokens;
  out.insert(out.end(), answer.tokens.begin(), answer.tokens.end());
  return out;
}

// Chooses what comes next in a text, and notes where it was asked.
class Forced final : public LogitProcessor {
 public:
  explicit Forced(std::vector<int32_t> text) : text_(std::move(text)) {}
  void process(std::span<float> logits, const LogitContext& context) const override {
    places.push_back(context.generated.size());
    const int32_t next = text_[context.generated.size() % text_.size()];
    for (size_t i = 0; i < logits.size(); ++i)
      if (int32_t(i) != next) logits[i] = -INFINITY;
  }
  mutable std::vector<size_t> places;

 private:
  std::vector<int32_t> text_;
};

TEST(Drafting, RightDraftsGiveTheSameInFewerSteps) {
  for (const float temperature : {0.f, 0.9f}) {
    Request request = drawn(random_prompt(1, 30, kVocab), 40);
    request.sampling.temperature = temperature;
    const Text expected = plainly(request);
    const auto engine = open_tiny(knowing({whole(request, expected)}));
    const Text got = ask(*engine, request);
    EXPECT_EQ(got, expected) << "to the last bit";
    EXPECT_EQ(got.end.finish, Finish::length);
    EXPECT_EQ(got.end.accepted_tokens, 4 * kDepth + 2);
    EXPECT_EQ(got.end.drafted_tokens, got.end.accepted_tokens);
    const EngineStats stats = settled(*engine);
    EXPECT_EQ(stats.steps, 1 + 4 + 1) << "the prompt, 9 tokens a step, and the last 3";
    EXPECT_EQ(stats.generated_tokens, 40);
    EXPECT_EQ(stats.drafted_tokens, got.end.drafted_tokens);
    EXPECT_EQ(stats.accepted_tokens, got.end.accepted_tokens);
  }
}

TEST(Drafting, WrongDraftsChangeNothing) {
  const Request request = drawn(random_prompt(2, 70, kVocab), 60);
  const Text expected = plainly(request);
  for (const uint64_t wrong : {1, 2, 6}) {
    const auto engine = open_tiny(knowing({whole(request, expected)}, wrong));
    const Text got = ask(*engine, request);
    EXPECT_EQ(got, expected) << wrong;
    EXPECT_LT(got.end.accepted_tokens, got.end.drafted_tokens);
    EXPECT_EQ(ask(*engine, request), expected) << "over blocks that were kept";
  }
}

TEST(Drafting, PromptLookupFindsWhatATextRepeats) {
  Request request = drawn(random_prompt(3, 40, kVocab), 64);
  request.sampling.processors = {std::make_shared<Forced>(random_prompt(4, 12, kVocab))};
  const Text expected = plainly(request);
  const auto engine = open_tiny(nullptr, [](auto& o) { o.draft = "ngram"; });
  const Text got = ask(*engine, request);
  EXPECT_EQ(got, expected);
  EXPECT_GT(got.end.accepted_tokens, 40);
  EXPECT_LT(settled(*engine).steps, 25);
}

// Nothing has to be taken back: no place is sampled twice, and none behind a wrong token.
TEST(Drafting, EachPlaceIsSampledOnce) {
  const auto text = random_prompt(4, 50, kVocab);
  const auto forced = std::make_shared<Forced>(text);
  Request request = drawn(random_prompt(3, 40, kVocab), 50);
  request.sampling.processors = {forced};
  auto known = request.tokens;
  known.insert(known.end(), text.begin(), text.end());
  const auto engine = open_tiny(knowing({known}, 4));
  const Text got = ask(*engine, request);
  EXPECT_EQ(got.tokens, text);
  EXPECT_GT(got.end.accepted_tokens, 0);
  ASSERT_EQ(forced->places.size(), text.size());
  for (size_t i = 0; i < text.size(); ++i) EXPECT_EQ(forced->places[i], i);
}

TEST(Drafting, MirostatRemembersWhatItWould) {
  for (const int32_t version : {1, 2}) {
    Request request = drawn(random_prompt(5, 20, kVocab), 60);
    request.sampling.mirostat = version;
    const Text expected = plainly(request);
    EXPECT_EQ(ask(*open_tiny(knowing({whole(request, expected)}, 5)), request), expected) << version;
  }
}

TEST(Drafting, GoesToTheEndOfTheContext) {
  for (const int64_t context : {64, 90, 128}) {
    const auto small = [&](auto& o) { o.context = context; };
    const Request request = drawn(random_prompt(6, 50, kVocab), -1);
    const Text expected = ask(*open_tiny(nullptr, small), request);
    const auto known = whole(request, plainly(drawn(request.tokens, 200)));
    const Text got = ask(*open_tiny(knowing({known}), small), request);
    EXPECT_EQ(got, expected) << context;
    EXPECT_EQ(got.end.finish, expected.end.finish);
    EXPECT_GT(got.end.accepted_tokens, 0);
  }
}

// The draft knows nothing of ends and goes on past them.
TEST(Drafting, EndsWithinAnAcceptedRun) {
  Request request = drawn(random_prompt(7, 30, kVocab), 60);
  const auto known = whole(request, plainly(request));
  const auto engine = open_tiny(knowing({known}));
  for (size_t at = 1; at < 20; at += 3)
    for (const bool include : {false, true})
      for (const int64_t least : {0, 9, 30}) {
        Request stopped = request;
        stopped.stop_ids = {known[request.tokens.size() + at]};
        stopped.include_stop = include;
        stopped.min_tokens = least;
        const Text expected = plainly(stopped), got = ask(*engine, stopped);
        EXPECT_EQ(got, expected) << at << " " << include << " " << least;
        EXPECT_EQ(got.end.finish, expected.end.finish);
        EXPECT_EQ(got.end.stop_token, expected.end.stop_token);
        EXPECT_EQ(got.end.generated_tokens, expected.end.generated_tokens);
      }
}

TEST(Drafting, ChoicesStayWhatTheyAre) {
  Request request = drawn(random_prompt(8, 70, kVocab), 30);
  request.choices = 5;
  const auto all = [&](Engine& engine) {
    std::map<int32_t, std::vector<int32_t>> out;
    const auto stream = engine.submit(request);
    while (const auto event = stream->next())
      if (const auto* token = std::get_if<TokenEvent>(&*event)) out[token->choice].push_back(token->token);
    return out;
  };
  const auto expected = all(*open_tiny(nullptr));
  std::vector<std::vector<int32_t>> known;
  for (const auto& [choice, tokens] : expected) {
    known.push_back(request.tokens);
    known.back().insert(known.back().end(), tokens.begin(), tokens.end());
  }
  const auto engine = open_tiny(knowing(known, 9));
  EXPECT_EQ(all(*engine), expected);
  EXPECT_GT(settled(*engine).accepted_tokens, 50);
}

TEST(Drafting, WhatWasDraftedIsFoundByOthers) {
  const Request first = drawn(random_prompt(9, 100, kVocab), 100);
  const Text answer = plainly(first);
  const auto engine = open_tiny(knowing({whole(first, answer)}, 5));
  EXPECT_EQ(ask(*engine, first), answer);
  Request turn = drawn(whole(first, answer), 20);
  turn.tokens.push_back(3);
  const Text next = ask(*engine, turn);
  EXPECT_EQ(next.end.cached_tokens, 192);
  EXPECT_EQ(next, plainly(turn));
}

TEST(Drafting, AFailureEndsDraftsAndNothingElse) {
  const Request request = drawn(random_prompt(10, 30, kVocab), 60);
  int calls = 0;
  const auto engine = open_tiny(calling([&](std::span<const DraftTask> tasks) {
    for (const DraftTask& task : tasks) task.draft->push_back(7);
    if (++calls == 3) throw std::runtime_error("out of ideas");
  }));
  const Text got = ask(*engine, request);
  EXPECT_EQ(got, plainly(request));
  EXPECT_EQ(got.end.drafted_tokens, 2);
  EXPECT_EQ(calls, 3);
  EXPECT_GT(ask(*engine, request).end.drafted_tokens, 40) << "the next request has drafts again";
}

TEST(Drafting, CancelAndDeadlineEndWhatDrafts) {
  Request request = drawn({1, 2, 3}, -1);
  request.sampling.allowed_ids = {7};
  Engine* engine = nullptr;
  std::atomic<uint64_t> victim{0};
  std::atomic<int> calls{0};
  const auto owner = open_tiny(calling([&](std::span<const DraftTask> tasks) {
                                 for (const DraftTask& task : tasks) task.draft->assign(size_t(task.most), 7);
                                 if (++calls > 5 && victim != 0) engine->cancel(victim);
                               }),
                               [](auto& o) { o.context = 100000; });
  engine = owner.get();
  const auto cancelled = engine->submit(request);
  victim = cancelled->id();
  request.max_tokens = 500;
  const auto other = engine->submit(request);
  const Text text = read_all(*cancelled);
  EXPECT_EQ(text.end.finish, Finish::cancelled);
  EXPECT_GT(text.end.accepted_tokens, 0);
  EXPECT_EQ(text.tokens, std::vector<int32_t>(text.tokens.size(), 7));
  EXPECT_EQ(read_all(*other).tokens, std::vector<int32_t>(500, 7));
  victim = 0;
  request.max_tokens = -1;
  request.timeout_seconds = 0.2;
  const Text late = ask(*engine, request);
  EXPECT_EQ(late.end.finish, Finish::timeout);
  EXPECT_GT(late.end.accepted_tokens, 0);
  EXPECT_EQ(late.tokens, std::vector<int32_t>(late.tokens.size(), 7));
  EXPECT_EQ(settled(*engine).kv_held_bytes, 0);
}

TEST(Drafting, IsSwitchedPerRequest) {
  int32_t most = 0;
  const auto engine = open_tiny(calling([&](std::span<const DraftTask> tasks) {
    for (const DraftTask& task : tasks) most = std::max(most, task.most), task.draft->assign(size_t(task.most), 7);
  }));
  Request request = drawn(random_prompt(11, 20, kVocab), 20);
  request.draft_max = 0;
  EXPECT_EQ(ask(*engine, request).end.drafted_tokens, 0);
  EXPECT_EQ(most, 0);
  request.draft_max = 3;
  EXPECT_GT(ask(*engine, request).end.drafted_tokens, 0);
  EXPECT_EQ(most, 3);
  for (const int32_t wrong : {-2, 129}) {
    request.draft_max = wrong;
    EXPECT_THROW(engine->submit(request), Error);
  }
}

// A head: sees rows of two layers, and guesses what a text went on with before. Notes rows by text and slot, the last that came.
class SeeingDrafter final : public Drafter {
 public:
  using Seen = std::map<std::pair<uint64_t, int64_t>, std::vector<uint32_t>>;
  SeeingDrafter(Seen& seen, std::unique_ptr<Drafter> guesses, bool throws = false)
      : seen_(seen), guesses_(std::move(guesses)), throws_(throws) {}
  std::vector<int32_t> taps() const override { return {0, 1}; }
  void saw(std::span<const SeenRows> texts, std::span<const Tensor> rows) override {
    if (throws_) throw std::runtime_error("blind");
    ASSERT_EQ(rows.size(), 2u);
    for (const SeenRows& text : texts)
      for (int32_t i = 0; i < text.count; ++i) {
        auto& out = seen_[{text.id, text.slot + i}];
        out.clear();
        for (const Tensor& layer : rows)
          for (int64_t c = 0; c < layer.dim(1); ++c)
            out.push_back(std::bit_cast<uint32_t>(layer.data<float>()[(text.row + i) * layer.dim(1) + c]));
      }
  }
  void propose(std::span<const DraftTask> tasks) override { guesses_->propose(tasks); }
  void forget(uint64_t) override {}

 private:
  Seen& seen_;
  std::unique_ptr<Drafter> guesses_;
  bool throws_;
};

TEST(Drafting, HeadsSeeTheRowsOfTheTarget) {
  const Request request = drawn(random_prompt(12, 90, kVocab), 40);
  const Text expected = plainly(request);
  const auto known = whole(request, expected);
  SeeingDrafter::Seen alone, drafted;
  const auto in_pieces = [](auto& o) { o.step_tokens = 24; };
  {
    const auto engine = open_tiny(std::make_unique<SeeingDrafter>(alone, knowing({})));
    EXPECT_EQ(ask(*engine, request), expected);
  }
  {
    const auto engine = open_tiny(std::make_unique<SeeingDrafter>(drafted, knowing({known}, 5)), in_pieces);
    const Text got = ask(*engine, request);
    EXPECT_EQ(got, expected);
    EXPECT_GT(got.end.accepted_tokens, 0);
  }
  ASSERT_GE(alone.size(), known.size() - 1);
  for (size_t slot = 0; slot + 1 < known.size(); ++slot) {
    const auto key = std::pair(uint64_t(1), int64_t(slot));
    ASSERT_TRUE(alone.contains(key) && drafted.contains(key)) << slot;
    EXPECT_EQ(drafted[key], alone[key]) << "bits of the rows of slot " << slot;
  }
}

TEST(Drafting, AHeadThatFailsEndsDraftsAndNothingElse) {
  SeeingDrafter::Seen seen;
  const Request request = drawn(random_prompt(13, 30, kVocab), 20);
  const auto engine = open_tiny(std::make_unique<SeeingDrafter>(seen, knowing({}), true));
  EXPECT_EQ(ask(*engine, request), plainly(request));
  EXPECT_EQ(ask(*engine, request), plainly(request));
}

TEST(Drafting, BadOptionsAreRefused) {
  for (const auto& spoil : std::vector<std::function<void(EngineOptions&)>>{
           [](auto& o) { o.draft = "oracle"; }, [](auto& o) { o.draft_max = 0; }, [](auto& o) { o.draft_max = 129; },
           [](auto& o) { o.draft_min = -1; }, [](auto& o) { o.draft_min = o.draft_max + 1; }})
    EXPECT_THROW(open_tiny(nullptr, spoil), Error);
}

}  // namespace
}  // namespace gale
