#include "engine/model_drafter.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "engine/test_drafter.h"

// A model that writes ahead changes when tokens come, and nothing else.
namespace gale {
namespace {

using namespace gale::testing;

constexpr int32_t kDepth = 8;
const auto kVocab = int32_t(kTinyShape.vocab);

std::shared_ptr<const Checkpoint> tiny() {
  static ThreadPool pool(1);
  static const auto checkpoint = random_checkpoint(kTinyShape, "q8_0", pool);
  return checkpoint;
}

EngineOptions plain() {
  EngineOptions options;
  options.model = "under test";
  options.threads = 1;
  options.context = 1024;
  options.draft_max = options.draft_min = kDepth;
  return options;
}

using Change = std::function<void(EngineOptions&)>;

// A drafter of its own, by default as good as the model that it guesses for: they are the same.
std::unique_ptr<Drafter> drafter(const Change& change = {}) {
  EngineOptions options = plain();
  if (change) change(options);
  return std::make_unique<ModelDrafter>(load_runtime(options, tiny()), nullptr);
}
std::unique_ptr<Engine> engine_with(std::unique_ptr<Drafter> drafter, const Change& change = {}) {
  EngineOptions options = plain();
  if (change) change(options);
  return open_with(options, tiny(), std::move(drafter));
}

Request ask_for(std::vector<int32_t> prompt, int64_t max_tokens, float temperature = 0) {
  return drawn(std::move(prompt), max_tokens, 5, temperature);
}

Text plainly(const Request& request) {
  static const auto engine = engine_with(nullptr);
  return ask(*engine, request);
}

TEST(ModelDrafter, OneThatKnowsAllIsAlwaysRight) {
  const Request request = ask_for(random_prompt(1, 30, kVocab), 40);
  const auto engine = engine_with(drafter());
  const Text got = ask(*engine, request);
  EXPECT_EQ(got, plainly(request)) << "to the last bit";
  EXPECT_EQ(got.end.accepted_tokens, 4 * kDepth + 2);
  EXPECT_EQ(got.end.drafted_tokens, got.end.accepted_tokens);
  EXPECT_EQ(settled(*engine).steps, 1 + 4 + 1) << "the prompt, 9 tokens a step, and the last 3";
}

TEST(ModelDrafter, WhatIsDrawnStaysWhatItIs) {
  for (const uint64_t seed : {1, 2, 3}) {
    Request request = ask_for(random_prompt(seed, 70, kVocab), 60, 1.0f);
    request.sampling.seed = seed;
    const auto engine = engine_with(drafter());
    const Text got = ask(*engine, request);
    EXPECT_EQ(got, plainly(request));
    EXPECT_LT(got.end.accepted_tokens, got.end.drafted_tokens) << "most drawn tokens are not the likeliest";
    EXPECT_EQ(ask(*engine, request), got) << "over blocks that were kept";
  }
}

// Its cache goes with every text, also when they end, come again, share beginnings and are many.
TEST(ModelDrafter, FollowsManyTexts) {
  std::vector<Request> requests;
  for (uint64_t i = 0; i < 12; ++i) {
    std::vector<int32_t> prompt = random_prompt(100, 130, kVocab);
    if (i % 3 != 0) prompt = random_prompt(i, 20 + 40 * int64_t(i), kVocab);
    requests.push_back(ask_for(std::move(prompt), 20 + 5 * int64_t(i), i % 2 == 0 ? 0 : 0.7f));
    if (i == 5) requests.back().choices = 3;
  }
  const auto all = [&](Engine& engine) {
    std::vector<std::map<int32_t, std::vector<int32_t>>> out(requests.size());
    std::vector<std::unique_ptr<EventStream>> streams;
    for (const Request& request : requests) streams.push_back(engine.submit(request));
    for (size_t i = 0; i < streams.size(); ++i)
      while (const auto event = streams[i]->next())
        if (const auto* token = std::get_if<TokenEvent>(&*event)) out[i][token->choice].push_back(token->token);
    return out;
  };
  const auto expected = all(*engine_with(nullptr));
  for (const int64_t kv_kib : {0, 160}) {  // the second holds few of them at once
    const auto engine = engine_with(drafter([&](EngineOptions& o) {
      o.kv_bytes = kv_kib << 10;
      if (kv_kib > 0) o.context = 128;
    }));
    EXPECT_EQ(all(*engine), expected) << kv_kib;
    EXPECT_EQ(all(*engine), expected) << kv_kib;
    EXPECT_GT(settled(*engine).accepted_tokens, kv_kib == 0 ? 100 : 10) << kv_kib;
  }
}

// Its context may be shorter, and its vocabulary smaller than the text needs: then there are no guesses, and nothing else
// happens.
TEST(ModelDrafter, GoesAsFarAsItCan) {
  const Request request = ask_for(random_prompt(7, 100, kVocab), 100);
  const Text got = ask(*engine_with(drafter([](EngineOptions& o) { o.context = 128; })), request);
  EXPECT_EQ(got, plainly(request));
  EXPECT_GT(got.end.accepted_tokens, 20);
  EXPECT_LE(got.end.accepted_tokens, 28);
}

TEST(ModelDrafter, ReadsALongPromptInPieces) {
  std::vector<int32_t> tokens = random_prompt(9, 500, kVocab), draft;
  EngineOptions options = plain();
  options.step_tokens = 64;
  ModelDrafter own(load_runtime(options, tiny()), nullptr);
  const DraftTask task{.id = 1, .tokens = tokens, .least = 4, .most = 4, .draft = &draft};
  int calls = 0;
  for (; draft.empty() && calls < 100; ++calls) own.propose({&task, 1});
  EXPECT_GE(calls, 500 / 64 + 1);
  EXPECT_EQ(draft.size(), 4u);
  const DraftTask other{.id = 2, .tokens = tokens, .least = 4, .most = 4, .draft = &draft};
  const std::vector<int32_t> before = std::exchange(draft, {});
  own.propose({&other, 1});
  EXPECT_EQ(draft, before) << "what was read for one text is there for the next that begins so";
  own.forget(1);
  own.forget(2);
  own.forget(3);
}

EngineOptions named(const std::string& model, const std::string& draft_model) {
  EngineOptions options = plain();
  options.model = model;
  options.draft_model = draft_model;
  options.context = 64;
  return options;
}

// A golden model whose first tokens are printable characters, from the first on or from the last.
std::string spelling(const TemporaryFolder& folder, const std::string& golden, bool backwards) {
  const std::filesystem::path path = folder / (golden + (backwards ? "-backwards" : ""));
  std::filesystem::copy(golden_path(golden), path);
  std::string vocab;
  for (int i = 0; i < 94; ++i) {
    const char c = char(backwards ? '~' - i : '!' + i);
    vocab += std::string(i ? ", " : "") + (c == '"' || c == '\\' ? "\"\\" : "\"") + c + "\": " + std::to_string(i);
  }
  std::ofstream(path / "tokenizer.json") << R"({"model": {"type": "BPE", "vocab": {)" << vocab
                                         << R"(}, "merges": []}, "decoder": {"type": "ByteLevel"},
             "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}})";
  return path;
}

// The same vocabulary, the same letters by other ids, and another model's.
TEST(ModelDrafter, OpensByName) {
  const TemporaryFolder folder;
  const std::string llama = spelling(folder, "llama3", false);
  Request request = ask_for({1, 5, 9, 20, 31, 8}, 30);
  for (int32_t id = 0; id < 94; ++id) request.sampling.allowed_ids.push_back(id);
  const Text expected = ask(*Engine::open(named(llama, "")), request);
  for (const std::string& other : {llama, spelling(folder, "llama3", true), spelling(folder, "qwen2", false)}) {
    const auto engine = Engine::open(named(llama, other));
    const Text got = ask(*engine, request);
    EXPECT_EQ(got, expected) << other;
    EXPECT_GT(got.end.drafted_tokens, 20) << other;
  }
}

TEST(ModelDrafter, WhatCannotGuessIsRefused) {
  const std::string llama = golden_path("llama3");
  EngineOptions nameless = named(llama, "");
  nameless.draft = "model";
  EXPECT_THROW(Engine::open(nameless), Error);
  EXPECT_THROW(Engine::open(named(llama, "/no/such/model")), Error);
  const TemporaryFolder folder;
  std::filesystem::copy(golden_path("qwen2"), folder / "silent");
  try {
    Engine::open(named(spelling(folder, "llama3", false), folder / "silent"));
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("no tokenizer"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace gale
