#include "engine/sizing.h"

#include <gtest/gtest.h>

#include "gale/error.h"

namespace gale {
namespace {

constexpr int64_t kBlock = 1000;

KvPlan plan(int64_t context, int64_t kv_bytes, int64_t available, int64_t positions = 640, int32_t sequences = 4) {
  EngineOptions options;
  options.context = context;
  options.kv_bytes = kv_bytes;
  options.max_sequences = sequences;
  return plan_kv(options, kBlock, positions, available);
}

TEST(KvPlan, FullContextsForEverySequenceWhereMemoryAllows) {
  EXPECT_EQ(plan(0, 0, 1 << 30).blocks, 40);
  EXPECT_EQ(plan(0, 0, 1 << 30).context, 640);
  EXPECT_EQ(plan(100, 0, 1 << 30).blocks, 8);
  EXPECT_EQ(plan(0, 0, 0).blocks, 40) << "unknown memory";
}

TEST(KvPlan, HalfOfWhatIsFreeOtherwise) {
  EXPECT_EQ(plan(0, 0, 50000).blocks, 25);
  EXPECT_EQ(plan(0, 0, 50000).context, 640);
  EXPECT_EQ(plan(0, 0, 10000).blocks, 5);
  EXPECT_EQ(plan(0, 0, 10000).context, 320) << "less than the model was made for";
}

TEST(KvPlan, AskedForContextsTakeMoreOrAreRefused) {
  EXPECT_EQ(plan(640, 0, 12000).blocks, 10);
  EXPECT_THROW(plan(640, 0, 9000), Error);
  EXPECT_THROW(plan(640, 5000, 1 << 30), Error);
  EXPECT_EQ(plan(1280, 0, 1 << 30).context, 1280) << "beyond the model's own, with a warning";
}

TEST(KvPlan, FixedPools) {
  EXPECT_EQ(plan(0, 7999, 0).blocks, 7);
  EXPECT_EQ(plan(0, 7999, 0).context, 448);
  EXPECT_EQ(plan(100, 7999, 0).context, 100);
  EXPECT_THROW(plan(0, 999, 0), Error);
  EXPECT_THROW(plan(-1, 0, 0), Error);
}

}  // namespace
}  // namespace gale
