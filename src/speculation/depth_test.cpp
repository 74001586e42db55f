#include "speculation/depth.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/rng.h"

namespace gale {
namespace {

StepCost cost_of(double fixed, double row) {
  StepCost cost;
  SplitMix64 rng{1};
  for (int i = 0; i < 200; ++i) {
    const double rows = 1 + double(rng() % 16);
    cost.took(rows, fixed + row * rows);
  }
  return cost;
}

DraftDepth after(int drafts, int32_t drafted, int32_t accepted) {
  DraftDepth depth;
  for (int i = 0; i < drafts; ++i) depth.took(drafted, accepted);
  return depth;
}

std::vector<int32_t> depths(const StepCost& cost, const std::vector<DraftDepth>& texts, int64_t room = 1000, double drafting = 0,
                            int32_t least = 0) {
  std::vector<DepthChoice> choices;
  for (const DraftDepth& depth : texts) choices.push_back({&depth, least, 16});
  choose_depths(choices, cost, double(texts.size()), double(texts.size()), room, drafting);
  std::vector<int32_t> out;
  for (const DepthChoice& choice : choices) out.push_back(choice.chosen);
  return out;
}

TEST(StepCost, FindsTheLine) {
  const StepCost cost = cost_of(20, 2);
  EXPECT_NEAR(cost.row(), 2, 0.1);
  EXPECT_NEAR(cost.step(1), 22, 0.5);
}

TEST(StepCost, WithoutDifferencesTakesTheUsual) {
  StepCost cost;
  EXPECT_EQ(cost.row(), 0);
  for (int i = 0; i < 100; ++i) cost.took(1, 10);
  EXPECT_NEAR(cost.step(1), 10, 1e-6);
  EXPECT_GT(cost.row(), 0.2);
  EXPECT_LT(cost.row(), 3);
}

TEST(Depth, FollowsWhatBecameOfDrafts) {
  const StepCost cost = cost_of(20, 2);
  const auto good = after(20, 16, 15), fair = after(20, 4, 2), bad = after(20, 4, 0);
  const auto d = depths(cost, {good});
  EXPECT_GE(d[0], 8);
  EXPECT_GT(depths(cost, {fair})[0], 0);
  EXPECT_LT(depths(cost, {fair})[0], 6);
  EXPECT_EQ(depths(cost, {bad})[0], 0);
  EXPECT_EQ(depths(cost, {good}, 3)[0], 3) << "no more rows";
  EXPECT_LT(depths(cost, {good}, 1000, 10)[0], d[0]) << "a drafter that takes its time";
  EXPECT_EQ(depths(cost, {bad}, 1000, 0, 4)[0], 4) << "as asked for, whatever it costs";
}

TEST(Depth, SinksWithTheRowsOfTheStep) {
  const StepCost cost = cost_of(20, 2);
  const auto fair = after(20, 4, 3);
  const int32_t alone = depths(cost, {fair})[0];
  const int32_t among_eight = depths(cost, std::vector<DraftDepth>(8, fair))[0];
  const int32_t among_many = depths(cost, std::vector<DraftDepth>(64, fair))[0];
  EXPECT_GT(alone, among_eight);
  EXPECT_GE(among_eight, among_many);
  EXPECT_EQ(among_many, 0) << "a row brings less than a token of somebody who waits";
}

TEST(Depth, TriesAgainNowAndThenAndEverMoreSeldom) {
  const StepCost cost = cost_of(20, 2);
  DraftDepth depth = after(10, 4, 0);
  int trials = 0, first = 0, last = 0, steps = 3000;
  for (int i = 0; i < steps; ++i) {
    const int32_t d = depths(cost, {depth})[0];
    if (d == 0) {
      depth.idle();
      continue;
    }
    EXPECT_EQ(d, 1);
    ++trials;
    first = first == 0 ? i : first;
    last = i;
    depth.took(1, 0);
  }
  EXPECT_EQ(first, 8);
  EXPECT_GE(trials, 5);
  EXPECT_LE(trials, 20);
  EXPECT_GT(last, first);
  for (int i = 0; i < 20; ++i) depth.took(1, 1);
  EXPECT_GT(depths(cost, {depth})[0], 3) << "and things have changed";
}

}  // namespace
}  // namespace gale
