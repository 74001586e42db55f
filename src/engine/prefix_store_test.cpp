#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "engine/test_drafter.h"
#include "engine/test_engine.h"

// What was computed for a text outlives the engine that did it: in a prefix store and in sessions.
namespace gale {
namespace {

using namespace gale::testing;
namespace fs = std::filesystem;

using Change = std::function<void(EngineOptions&)>;

std::unique_ptr<Engine> open_tiny(const Change& change = {}) { return open_tiny_model(change, nullptr); }

Change with_store(const fs::path& folder, const Change& more = {}) {
  return [=](EngineOptions& options) {
    options.prefix_store = folder.string();
    if (more) more(options);
  };
}

const Request kText = drawn(random_prompt(1, 300, 120), 20, 7);

TEST(BitIdentityPrefixStore, ARestartedEngineGoesOnToTheLastBit) {
  for (const char* type : {"f32", "f16", "bf16", "fp8", "q8_0", "q4_0", "q8_0/q4_0", "fp8/f32"})
    for (const int64_t block : {16, 64}) {
      const TemporaryFolder folder;
      const auto change = with_store(folder / "store", [&](auto& o) { o.kv_type = type, o.kv_block = block; });
      const Text fresh = ask(*open_tiny(change), kText);
      EXPECT_EQ(fresh.end.cached_tokens, 0);
      const auto again = open_tiny([&](auto& o) { change(o), o.threads = 2, o.step_tokens = 50; });
      const Text restored = ask(*again, kText);
      EXPECT_EQ(restored.end.cached_tokens, 299 / block * block) << type;
      EXPECT_EQ(restored, fresh) << type << ", blocks of " << block;
      EXPECT_EQ(again->stats().restored_blocks, 299 / block);
    }
}

// The control: a store whose blocks are not what their names say would be seen.
TEST(BitIdentityPrefixStoreControl, OtherKeysAndValuesAreSeen) {
  const TemporaryFolder folder;
  const Text right = ask(*open_tiny(), kText);
  const auto engine = open_tiny();
  ask(*engine, kText);
  Request other = kText;
  other.tokens[0] = (other.tokens[0] + 1) % 120;
  EXPECT_FALSE(ask(*engine, other) == right);
}

// Windows: the model of the golden has layers with one and layers without.
TEST(BitIdentityPrefixStore, LayersWithWindows) {
  const TemporaryFolder folder;
  EngineOptions options;
  options.model = golden_path("qwen3_window").string();
  options.threads = 1;
  options.kv_block = 16;
  options.kv_bytes = 4 << 20;
  const auto vocab = Engine::open(options)->info().vocab;
  const Request request = drawn(random_prompt(3, 200, vocab), 10, 5);
  const Text plain = ask(*Engine::open(options), request);
  options.prefix_store = (folder / "store").string();
  EXPECT_EQ(ask(*Engine::open(options), request), plain);
  const Text restored = ask(*Engine::open(options), request);
  EXPECT_EQ(restored, plain);
  EXPECT_EQ(restored.end.cached_tokens, 192);
}

// Memory for one text at a time: the others are on disk meanwhile.
TEST(BitIdentityPrefixStore, WhatMemoryHasNoRoomForComesBack) {
  const TemporaryFolder folder;
  const auto plain = open_tiny();
  const auto engine = open_tiny(
      with_store(folder / "store", [&](auto& o) { o.context = 384, o.kv_bytes = 6 * 64 * plain->info().kv_bytes_per_token; }));
  for (int round = 0; round < 3; ++round)
    for (uint64_t n = 0; n < 3; ++n) {
      const Request request = drawn(random_prompt(n, 300, 120), 20, n);
      const Text text = ask(*engine, request);
      EXPECT_EQ(text, ask(*plain, request));
      EXPECT_EQ(text.end.cached_tokens, round == 0 ? 0 : 256);
    }
  EXPECT_GT(engine->stats().store_bytes, 0);
}

TEST(PrefixStore, WhateverElseCouldChangeABitFindsNothing) {
  const TemporaryFolder folder;
  const auto cached = [&](const Change& change, const Request& request = kText) {
    return ask(*open_tiny(with_store(folder / "store", change)), request).end.cached_tokens;
  };
  EXPECT_EQ(cached({}), 0);
  EXPECT_EQ(cached({}), 256);
  EXPECT_EQ(cached([](auto& o) { o.kv_type = "f16"; }), 0);
  EXPECT_EQ(cached([](auto& o) { o.kv_type = "bf16/f16"; }), 0);
  EXPECT_EQ(cached([](auto& o) { o.kv_block = 32; }), 0);
  EXPECT_EQ(cached([](auto& o) { o.exact = true, o.kv_type = "bf16"; }), 0);
  EXPECT_EQ(cached([](auto& o) { o.quant = "q4_0"; }), 0);
  EXPECT_EQ(cached([](auto& o) { o.isa = "generic"; }), isa_name(detect_cpu().isas.back()) == std::string("generic") ? 256 : 0);
  Request salted = kText;
  salted.salt = "a tenant";
  EXPECT_EQ(cached({}, salted), 0);
  EXPECT_EQ(cached({}, salted), 256);
  EXPECT_EQ(cached([](auto& o) { o.threads = 2, o.step_tokens = 33, o.context = 1000; }), 256) << "what changes no bit";
}

// One norm, one unit in the last place: another model.
TEST(PrefixStore, OtherWeightsFindNothing) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  const auto checkpoint = random_checkpoint(kTinyShape, "q8_0", pool);
  EngineOptions options;
  options.model = "under test";
  options.threads = 1;
  options.prefix_store = (folder / "store").string();
  ask(*open_engine(options, checkpoint), kText);
  EXPECT_EQ(ask(*open_engine(options, checkpoint), kText).end.cached_tokens, 256);
  for (const char* name : {"model.norm.weight", "model.layers.1.mlp.up_proj.weight"}) {
    const auto bytes = checkpoint->find(name)->bytes;
    std::byte& changed = const_cast<std::byte&>(bytes[bytes.size() - 3]);
    changed ^= std::byte(1);
    EXPECT_EQ(ask(*open_engine(options, checkpoint), kText).end.cached_tokens, 0) << name;
    changed ^= std::byte(1);
  }
  EXPECT_EQ(ask(*open_engine(options, checkpoint), kText).end.cached_tokens, 256);
}

TEST(PrefixStore, RequantizedWeightsHaveBlocksOfTheirOwn) {
  const TemporaryFolder folder;
  const auto change = with_store(folder / "store");
  {
    const auto engine = open_tiny(change);
    ask(*engine, kText);
    engine->requantize("q4_0");
    EXPECT_EQ(ask(*engine, kText).end.cached_tokens, 0);
  }
  const auto engine = open_tiny([&](auto& o) { change(o), o.quant = "q4_0"; });
  const Text text = ask(*engine, kText);
  EXPECT_EQ(text.end.cached_tokens, 256) << "of the engine that ended with these weights";
  EXPECT_EQ(text, ask(*open_tiny([](auto& o) { o.quant = "q4_0"; }), kText));
}

TEST(PrefixStore, BadFoldersAndLimitsAreRefused) {
  const TemporaryFolder folder;
  std::ofstream(folder / "file") << "x";
  EXPECT_THROW(open_tiny(with_store(folder / "file")), Error);
  EXPECT_THROW(open_tiny(with_store(folder / "store", [](auto& o) { o.prefix_store_bytes = 100; })), Error);
  EXPECT_THROW(open_tiny(with_store(folder / "store", [](auto& o) { o.prefix_store_bytes = -1; })), Error);
  EXPECT_THROW(open_tiny(with_store(folder / "store", [](auto& o) { o.prefix_cache = false; })), Error);
}

// Every file of the store cut or changed: all is computed anew, and is right.
TEST(PrefixStore, DamagedFilesCostTimeOnly) {
  const TemporaryFolder folder;
  const auto change = with_store(folder / "store");
  const Text fresh = ask(*open_tiny(change), kText);
  size_t n = 0;
  for (const auto& entry : fs::directory_iterator(folder / "store")) {
    if (entry.path().filename() == "key") continue;
    if (++n % 2 == 0) fs::resize_file(entry.path(), 1000);
    if (n % 2 == 1) std::fstream(entry.path(), std::ios::in | std::ios::out | std::ios::binary).seekp(5000).put(char(0x5a));
  }
  ASSERT_GE(n, 4u);
  const Text text = ask(*open_tiny(change), kText);
  EXPECT_EQ(text, fresh);
  EXPECT_EQ(text.end.cached_tokens, 0);
  EXPECT_EQ(ask(*open_tiny(change), kText).end.cached_tokens, 256) << "written anew";
}

// Requests that are cancelled or late while their blocks are on their way, and others beside them.
TEST(PrefixStore, CancelsAndDeadlinesWhileBlocksAreRead) {
  const TemporaryFolder folder;
  const auto change = with_store(folder / "store");
  const Text fresh = ask(*open_tiny(change), kText);
  for (int round = 0; round < 10; ++round) {
    const auto engine = open_tiny(change);
    std::vector<std::unique_ptr<EventStream>> streams;
    for (int i = 0; i < 6; ++i) {
      Request request = kText;
      if (i % 3 == 1) request.timeout_seconds = 0.001;
      streams.push_back(engine->submit(request));
      if (i % 3 == 2) streams.back().reset();
    }
    EXPECT_EQ(read_all(*streams[0]), fresh);
    EXPECT_EQ(read_all(*streams[3]), fresh);
    EXPECT_EQ(engine->stats().waiting_tokens, 0);
  }
}

TEST(Sessions, GoOnToTheLastBit) {
  const TemporaryFolder folder;
  const std::string file = (folder / "session").string();
  for (const char* type : {"f32", "bf16", "q8_0/q4_0"}) {
    const auto change = [&](auto& o) { o.kv_type = type; };
    Request turn = kText;
    Session session;
    {
      const auto engine = open_tiny(change);
      const Text first = ask(*engine, turn);
      turn.tokens.insert(turn.tokens.end(), first.tokens.begin(), first.tokens.end());
      session = {turn.tokens, "what the caller keeps"};
      engine->save_session(file, session, "a tenant");  // whose blocks are nobody else's: only the text is saved
      EXPECT_LT(fs::file_size(file), 4000u);
      engine->save_session(file, session);
    }
    turn.tokens.push_back(5);
    const Text expected = ask(*open_tiny([&](auto& o) { change(o), o.prefix_cache = false; }), turn);
    const auto engine = open_tiny([&](auto& o) { change(o), o.threads = 2; });
    const Session loaded = engine->load_session(file);
    EXPECT_EQ(loaded.tokens, session.tokens);
    EXPECT_EQ(loaded.note, session.note);
    const Text next = ask(*engine, turn);
    EXPECT_EQ(next, expected) << type;
    EXPECT_EQ(next.end.cached_tokens, 256);
    EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  }
}

TEST(Sessions, BelongToTheirSalt) {
  const TemporaryFolder folder;
  const std::string file = (folder / "session").string();
  const auto engine = open_tiny();
  ask(*engine, kText);
  engine->save_session(file, {kText.tokens, ""});
  const auto other = open_tiny();
  other->load_session(file, "a tenant");
  EXPECT_EQ(ask(*other, kText).end.cached_tokens, 0);
  Request theirs = drawn(kText.tokens, 20, 7);
  theirs.salt = "a tenant";
  EXPECT_EQ(ask(*other, theirs).end.cached_tokens, 256);
}

TEST(Sessions, OfAnotherModelAreRefusedAndStay) {
  const TemporaryFolder folder;
  const std::string file = (folder / "session").string();
  open_tiny()->save_session(file, {kText.tokens, "note"});
  const auto bytes = fs::file_size(file);
  const std::pair<Change, const char*> others[] = {
      {[](auto& o) { o.kv_type = "q8_0"; }, "keys and values in q8_0"},
      {[](auto& o) { o.quant = "q4_0"; }, "q4_0"},
      {[](auto& o) { o.exact = true, o.kv_type = "bf16"; }, "other weights or options"}};
  for (const auto& [change, says] : others) try {
      open_tiny(change)->load_session(file);
      FAIL() << says;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
      EXPECT_NE(std::string(e.what()).find(says), std::string::npos) << e.what();
    }
  EXPECT_EQ(fs::file_size(file), bytes);
  const auto plain = open_tiny([](auto& o) { o.prefix_cache = false; });
  EXPECT_EQ(plain->load_session(file).tokens, kText.tokens) << "without a cache a session is its text";
  EXPECT_EQ(open_tiny([](auto& o) { o.kv_block = 16; })->load_session(file).note, "note") << "blocks can be made again";
  EXPECT_THROW(plain->load_session((folder / "none").string()), Error);
  EXPECT_THROW(plain->save_session((folder / "no" / "folder").string(), {kText.tokens, ""}), Error);
  EXPECT_THROW(plain->save_session(file, {{-1}, ""}), Error);
}

TEST(Sessions, DamagedOnesGiveWhatIsWhole) {
  const TemporaryFolder folder;
  const fs::path file = folder / "session";
  Text fresh;
  {
    const auto engine = open_tiny();
    fresh = ask(*engine, kText);
    engine->save_session(file.string(), {kText.tokens, ""});
  }
  fs::resize_file(file, fs::file_size(file) - 1000);
  const auto engine = open_tiny();
  EXPECT_EQ(engine->load_session(file.string()).tokens, kText.tokens);
  const Text text = ask(*engine, kText);
  EXPECT_EQ(text, fresh);
  EXPECT_EQ(text.end.cached_tokens, 192) << "of 256";
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(300).put(char(0x77));
  EXPECT_THROW(open_tiny()->load_session(file.string()), Error) << "the text itself";
}

// Saved and loaded while others decode, into a cache that has little room.
TEST(Sessions, BesideOtherRequests) {
  const TemporaryFolder folder;
  const std::string file = (folder / "session").string();
  const auto plain = open_tiny();
  const Text fresh = ask(*plain, kText);
  const auto engine = open_tiny([&](auto& o) { o.context = 640, o.kv_bytes = 12 * 64 * plain->info().kv_bytes_per_token; });
  const auto other = engine->submit(greedy(random_prompt(9, 100, 120), 300));
  ASSERT_TRUE(other->next());
  plain->save_session(file, {kText.tokens, ""});
  engine->load_session(file);
  EXPECT_EQ(ask(*engine, kText), fresh);
  engine->save_session(file, {kText.tokens, ""});
  EXPECT_EQ(ask(*engine, kText), fresh);
}

}  // namespace
}  // namespace gale
