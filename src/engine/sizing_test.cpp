#include "engine/sizing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/threads.h"
#include "engine/forward.h"
#include "engine/model_source.h"
#include "engine/runtime.h"
#include "engine/test_engine.h"
#include "gale/error.h"

namespace gale {
namespace {

using namespace gale::testing;

constexpr int64_t kBlock = 1000;

KvPlan plan(int64_t context, int64_t kv_bytes, int64_t available, int64_t positions = 640, int32_t sequences = 4) {
  EngineOptions options;
  options.context = context;
  options.kv_bytes = kv_bytes;
  options.max_sequences = sequences;
  const auto needs = [](int64_t slots) { return std::vector<KvNeed>{{kBlock, (slots + 63) / 64}}; };
  return plan_kv(options, needs, positions, available);
}

TEST(KvPlan, FullContextsForEverySequenceWhereMemoryAllows) {
  EXPECT_EQ(plan(0, 0, 1 << 30).blocks[0], 40);
  EXPECT_EQ(plan(0, 0, 1 << 30).context, 640);
  EXPECT_EQ(plan(100, 0, 1 << 30).blocks[0], 8);
  EXPECT_EQ(plan(0, 0, 0).blocks[0], 40) << "unknown memory";
}

TEST(KvPlan, HalfOfWhatIsFreeOtherwise) {
  EXPECT_EQ(plan(0, 0, 50000).blocks[0], 25);
  EXPECT_EQ(plan(0, 0, 50000).context, 640);
  EXPECT_EQ(plan(0, 0, 10000).blocks[0], 5);
  EXPECT_EQ(plan(0, 0, 10000).context, 320) << "less than the model was made for";
}

TEST(KvPlan, AskedForContextsTakeMoreOrAreRefused) {
  EXPECT_EQ(plan(640, 0, 12000).blocks[0], 10);
  EXPECT_THROW(plan(640, 0, 9000), Error);
  EXPECT_THROW(plan(640, 5000, 1 << 30), Error);
  EXPECT_EQ(plan(1280, 0, 1 << 30).context, 1280) << "beyond the model's own, with a warning";
}

// A layer that sees everything beside one with a window of 256: their pools grow together, to what a sequence takes of each.
TEST(KvPlan, PoolsOfSeveralWindows) {
  const std::vector<CacheLayer> layers = {SelfLayer{1, 16, 16, 0}, SelfLayer{1, 16, 16, 256}};
  EngineOptions options;
  options.max_sequences = 3;
  const auto needs = [&](int64_t slots) { return KvCache::needs(layers, KvType::f32, slots, 64); };
  const int64_t block = 64 * 2 * 16 * 4;
  ASSERT_EQ(needs(6400).size(), 2u);
  EXPECT_EQ(needs(6400)[0].blocks, 100);
  EXPECT_EQ(needs(6400)[1].blocks, 6) << "256 and 64 rows of a step, beginning anywhere";
  EXPECT_EQ(needs(128)[1].blocks, 2);
  const KvPlan all = plan_kv(options, needs, 6400, 1 << 30);
  EXPECT_THAT(all.blocks, ::testing::ElementsAre(300, 18));
  EXPECT_EQ(all.bytes, 318 * block);
  const KvPlan half = plan_kv(options, needs, 6400, 106 * block);
  EXPECT_EQ(half.context, 47 * 64) << "47 + 6 blocks are what 53 hold";
  EXPECT_THAT(half.blocks, ::testing::ElementsAre(47, 6));
}

TEST(KvPlan, FixedPools) {
  EXPECT_EQ(plan(0, 7999, 0).blocks[0], 7);
  EXPECT_EQ(plan(0, 7999, 0).context, 448);
  EXPECT_EQ(plan(100, 7999, 0).context, 100);
  EXPECT_THROW(plan(0, 999, 0), Error);
  EXPECT_THROW(plan(-1, 0, 0), Error);
}

// Every number of rows a step can have, each with few, some and all of them wanted, through the memory that was planned at load.
struct Steps {
  explicit Steps(Runtime& runtime) : runtime(runtime), track(runtime.kv->open()) {
    EXPECT_TRUE(runtime.kv->reserve(track, runtime.step_tokens));
  }
  void run(Arena& arena, int64_t rows, int64_t wanted) {
    Ctx ctx{arena, *runtime.pool, *runtime.cpu, runtime.precision};
    const std::vector<int32_t> ids(size_t(rows), 1);
    Batch batch;
    batch.add_causal(track, ids.data(), int32_t(rows), 0);
    for (int64_t r = rows - wanted; r < rows; ++r) batch.wanted.push_back(int32_t(r));
    int64_t seen = 0;
    forward(ctx, *runtime.model, batch, *runtime.kv, [&](int64_t, const Tensor& logits) { seen += logits.dim(0); });
    EXPECT_EQ(seen, wanted);
  }
  static std::set<int64_t> wanted(int64_t rows) {
    std::set<int64_t> out;
    for (const int64_t n : {int64_t(0), int64_t(1), rows / 2, kLogitRows - 1, kLogitRows, kLogitRows + 1, rows - 1, rows})
      out.insert(std::min(n, rows));
    return out;
  }
  Runtime& runtime;
  TrackId track;
};

EngineOptions small_steps(bool exact, int64_t step_tokens) {
  EngineOptions options;
  options.model = "random:tiny";
  options.threads = 1;
  options.exact = exact;
  options.context = 256;
  options.step_tokens = step_tokens;
  return options;
}

TEST(Scratch, NoRowCountExceedsWhatWasPlanned) {
  ThreadPool pool(1);
  for (const auto& [type, shape] : {std::pair("q4_k_m", kTinyShape), {"f32", kTinyShape}, {"q4_k_m", kTinyMoeShape}})
    for (const bool exact : {false, true})
      for (const int64_t step_tokens : {1, 20, 70}) {
        Runtime runtime = load_runtime(small_steps(exact, step_tokens), random_checkpoint(shape, type, pool));
        Steps steps(runtime);
        Arena& arena = *runtime.arena;
        for (int64_t rows = 1; rows <= step_tokens; ++rows)
          for (const int64_t wanted : Steps::wanted(rows)) {
            steps.run(arena, rows, wanted);
            ASSERT_EQ(arena.strays(), 0) << type << ": " << rows << " rows, " << wanted << " wanted of steps of " << step_tokens;
          }
        EXPECT_EQ(int64_t(arena.capacity()), runtime.info.scratch_bytes);
        EXPECT_EQ(arena.peak(), arena.capacity()) << "to the byte: the largest step takes all of it";
      }
}

TEST(Scratch, TheGoldensToo) {
  for (const char* name : {"llama3", "qwen2", "qwen3", "mistral_nemo", "mixtral", "qwen3_moe"}) {
    EngineOptions options = small_steps(false, 66);
    options.model = golden_path(name).string();
    Runtime runtime = load_runtime(options);
    Steps steps(runtime);
    for (int64_t rows = 1; rows <= 66; ++rows)
      for (const int64_t wanted : Steps::wanted(rows)) steps.run(*runtime.arena, rows, wanted);
    EXPECT_EQ(runtime.arena->strays(), 0) << name;
    EXPECT_EQ(runtime.arena->peak(), runtime.arena->capacity()) << name;
  }
}

// What inspect --fit says of a load, and what the load is.
TEST(Prediction, IsWhatALoadTakes) {
  ThreadPool pool(1);
  const auto same = [](const EngineOptions& options, std::shared_ptr<const Checkpoint> checkpoint) {
    const Prediction predicted = predict_load(options, checkpoint);
    const Runtime loaded = load_runtime(options, checkpoint);
    const ModelInfo &a = predicted.info, &b = loaded.info;
    EXPECT_EQ(predicted.problem, "");
    EXPECT_EQ(a.packed_bytes, b.packed_bytes);
    EXPECT_EQ(a.kv_bytes_per_token, b.kv_bytes_per_token);
    EXPECT_EQ(a.kv_type, b.kv_type);
    EXPECT_EQ(a.kv_bytes, b.kv_bytes);
    EXPECT_EQ(a.context, b.context);
    EXPECT_EQ(a.scratch_bytes, b.scratch_bytes);
    EXPECT_EQ(b.scratch_bytes, int64_t(loaded.arena->capacity()));
    EXPECT_EQ(b.kv_bytes, loaded.kv->blocks() * loaded.kv->block_slots() * b.kv_bytes_per_token);
    return a;
  };
  const auto demo = open_model("demo", "", pool);
  EngineOptions options = small_steps(false, 64);
  options.model = "demo";
  const ModelInfo plain = same(options, demo);
  options.quant = "q4_0";
  EXPECT_NE(same(options, demo).packed_bytes, plain.packed_bytes);
  options.kv_type = "f32";
  EXPECT_EQ(same(options, demo).kv_bytes_per_token, 2 * plain.kv_bytes_per_token);
  options.exact = true;
  options.step_tokens = 200;
  EXPECT_GT(same(options, demo).scratch_bytes, 2 * plain.scratch_bytes);
  options = small_steps(false, 32);
  same(options, random_checkpoint(kTinyShape, "q4_k_m", pool));
}

TEST(Prediction, SaysThatAContextDoesNotFit) {
  ThreadPool pool(1);
  EngineOptions options = small_steps(false, 32);
  options.context = int64_t(1) << 30;
  const Prediction p = predict_load(options, random_checkpoint(kTinyShape, "q8_0", pool));
  EXPECT_NE(p.problem.find("1073741824"), std::string::npos) << p.problem;
  EXPECT_GT(p.info.scratch_bytes, 0);
  EXPECT_EQ(p.info.kv_bytes, 0);
}

}  // namespace
}  // namespace gale
