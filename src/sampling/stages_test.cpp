#include "sampling/stages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/rng.h"
#include "gale/error.h"

namespace gale {
namespace {

using ::testing::ElementsAre;
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> logits_after(const stages::Stage& stage, const std::vector<float>& logits, const SamplingState& state = {}) {
  Candidates list;
  list.start(logits);
  stage->apply(list, state);
  return {list.logits().begin(), list.logits().end()};
}

std::vector<int32_t> tokens_after(const stages::Stage& stage, const std::vector<float>& logits, const SamplingState& state = {}) {
  Candidates list;
  list.start(logits);
  stage->apply(list, state);
  std::vector<int32_t> out;
  for (size_t i = 0; i < list.size(); ++i) out.push_back(list.token(i));
  return out;
}

std::vector<float> random_logits(size_t n, uint64_t seed) {
  SplitMix64 rng{seed};
  std::vector<float> out(n);
  for (float& x : out) x = 8 * rng.uniform() - 4;
  return out;
}

TEST(LogitBias, AddsEveryEntry) {
  const auto stage = stages::logit_bias({{1, 2.5f}, {3, -100.0f}, {1, 0.5f}});
  EXPECT_THAT(logits_after(stage, {1, 1, 1, 1}), ElementsAre(1, 4, 1, -99));
}

// transformers' RepetitionPenaltyLogitsProcessor: score < 0 ? score * p : score / p, once per distinct id of prompt and text.
TEST(RepetitionPenalty, DividesPositiveMultipliesNegativeOncePerToken) {
  const std::vector<int32_t> prompt = {0, 0, 1}, generated = {1, 3, 3, 3};
  SamplingState state;
  state.prompt = prompt;
  state.generated = generated;
  const auto stage = stages::repetition_penalty(2, -1, 5);
  const std::vector<float> logits = {4, -4, 4, 0, -1};
  EXPECT_THAT(logits_after(stage, logits, state), ElementsAre(2, -8, 4, 0, -1));
  EXPECT_THAT(logits_after(stage, logits, state), ElementsAre(2, -8, 4, 0, -1)) << "nothing is remembered from call to call";
  EXPECT_THAT(logits_after(stages::repetition_penalty(0.5, -1, 5), logits, state), ElementsAre(8, -2, 4, 0, -1));
}

// OpenAI: mu[j] - c[j] * frequency - (c[j] > 0) * presence, c counting the sampled tokens only.
TEST(CountPenalties, FrequencyPerOccurrencePresenceOncePromptNotCounted) {
  const std::vector<int32_t> prompt = {0, 0, 1}, generated = {1, 3, 3, 3};
  SamplingState state;
  state.prompt = prompt;
  state.generated = generated;
  const auto stage = stages::count_penalties(0.5, 0.25, -1, 5);
  for (int i = 0; i < 2; ++i) EXPECT_THAT(logits_after(stage, {1, 1, 1, 1, 1}, state), ElementsAre(1, 0.25, 1, -0.75, 1));
  EXPECT_THAT(logits_after(stages::count_penalties(-1, 0, -1, 5), {1, 1, 1, 1, 1}, state), ElementsAre(1, 2, 1, 4, 1));
  EXPECT_THAT(logits_after(stages::count_penalties(0, 2, -1, 5), {1, 1, 1, 1, 1}, state), ElementsAre(1, -1, 1, -1, 1));
}

TEST(Penalties, LookAtTheLastTokensOnly) {
  const std::vector<int32_t> prompt = {0, 1, 2}, generated = {3, 3, 1};
  SamplingState state;
  state.prompt = prompt;
  state.generated = generated;
  EXPECT_THAT(logits_after(stages::repetition_penalty(2, 4, 5), {4, 4, 4, 4, 4}, state), ElementsAre(4, 2, 2, 2, 4));
  EXPECT_THAT(logits_after(stages::repetition_penalty(2, 0, 5), {4, 4, 4, 4, 4}, state), ElementsAre(4, 4, 4, 4, 4));
  EXPECT_THAT(logits_after(stages::count_penalties(1, 0, 2, 5), {4, 4, 4, 4, 4}, state), ElementsAre(4, 3, 4, 3, 4));
  EXPECT_THAT(logits_after(stages::count_penalties(1, 0, 5, 5), {4, 4, 4, 4, 4}, state), ElementsAre(4, 3, 4, 2, 4));
}

TEST(Dry, LongRepeatsInLinearTime) {
  const std::vector<int32_t> prompt(200000, 1);  // a quadratic search takes minutes
  SamplingState state;
  state.prompt = prompt;
  const auto logits = logits_after(stages::dry({1, 1, 2, -1}, {}, 3), {0, 9, 0}, state);
  EXPECT_THAT(logits, ElementsAre(0, 8, 0));
}

TEST(Temperature, DividesTheDistanceFromTheLargest) {
  EXPECT_THAT(logits_after(stages::temperature(2), {1, 3, -kInf, -1}), ElementsAre(-1, 0, -kInf, -2));
  EXPECT_THAT(logits_after(stages::temperature(0.5), {1, 3, 2}), ElementsAre(-4, 0, -2));
  EXPECT_THAT(logits_after(stages::temperature(1e-40f), {1, 3, 3}), ElementsAre(-kInf, 0, 0));
  EXPECT_THROW(logits_after(stages::temperature(2), {-kInf, -kInf}), Error);
}

TEST(TopK, KeepsTheMostLikelyTiesByLowestId) {
  EXPECT_THAT(tokens_after(stages::top_k(2), {1, 5, 3, 5}), ElementsAre(1, 3));
  EXPECT_THAT(tokens_after(stages::top_k(3), {2, 2, 2, 2, 2}), ElementsAre(0, 1, 2));
  EXPECT_THAT(tokens_after(stages::top_k(9), {1, 5, 3}), ElementsAre(0, 1, 2));
}

// The tokens that a full sort puts first, in order of id.
std::vector<int32_t> first_of_sort(const std::vector<float>& logits, size_t n) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    const float x = logits[size_t(a)], y = logits[size_t(b)];
    return x != y ? x > y : a < b;
  });
  order.resize(n);
  std::sort(order.begin(), order.end());
  return order;
}

TEST(TopK, EqualsAFullSort) {
  const auto logits = random_logits(5000, 1);
  for (const size_t k : {1, 2, 63, 77, 79, 1000, 4999, 5000})
    EXPECT_EQ(tokens_after(stages::top_k(int32_t(k)), logits), first_of_sort(logits, k)) << k;
}

// softmax of ln(.5), ln(.3), ln(.15), ln(.05)
const std::vector<float> kFour = {std::log(.15f), std::log(.5f), std::log(.05f), std::log(.3f)};

TEST(TopP, KeepsTheTokenThatReachesP) {
  EXPECT_THAT(tokens_after(stages::top_p(0.4f), kFour), ElementsAre(1));
  EXPECT_THAT(tokens_after(stages::top_p(0.6f), kFour), ElementsAre(1, 3));
  EXPECT_THAT(tokens_after(stages::top_p(0.79f), kFour), ElementsAre(1, 3));
  EXPECT_THAT(tokens_after(stages::top_p(0.94f), kFour), ElementsAre(0, 1, 3));
  EXPECT_THAT(tokens_after(stages::top_p(0.99f), kFour), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(tokens_after(stages::top_p(1e-6f), kFour), ElementsAre(1)) << "the most likely stays whatever p";
}

// The ways of cut_at_mass: all in order, the few most likely, more of them, ranges of keys.
TEST(TopP, EveryWayOfSearchGivesWhatAFullSortGives) {
  for (const size_t size : {100, 3000, 20000})
    for (const float spread : {0.01f, 1.0f, 3.0f}) {
      auto logits = random_logits(size, size);
      for (float& x : logits) x *= spread;
      std::vector<float> sorted = logits;
      std::sort(sorted.begin(), sorted.end(), std::greater<>());
      double total = 0;
      for (const float x : sorted) total += std::exp(double(x));
      for (const float p : {0.001f, 0.02f, 0.3f, 0.9f, 0.9999f}) {
        size_t n = 0;
        for (double sum = 0; sum < double(p) * total && n < sorted.size(); ++n) sum += std::exp(double(sorted[n]));
        const auto kept = tokens_after(stages::top_p(p), logits);
        EXPECT_NEAR(double(kept.size()), double(n), 1) << size << " " << spread << " " << p;  // the two sums round differently
        EXPECT_EQ(kept, first_of_sort(logits, kept.size()));
      }
    }
}

TEST(TopP, TiesGoToTheLowestIds) {
  for (const size_t size : {300, 30000}) {
    const auto kept = tokens_after(stages::top_p(0.5f), std::vector<float>(size, 1.0f));
    EXPECT_EQ(kept.size(), size / 2);
    EXPECT_EQ(kept.back(), int32_t(size / 2) - 1);
  }
}

TEST(MinP, DropsWhatIsBelowAShareOfTheMostLikely) {
  EXPECT_THAT(tokens_after(stages::min_p(0.59f), kFour), ElementsAre(1, 3));
  EXPECT_THAT(tokens_after(stages::min_p(0.61f), kFour), ElementsAre(1));
  EXPECT_THAT(tokens_after(stages::min_p(0.09f), kFour), ElementsAre(0, 1, 2, 3));
}

TEST(Draw, FollowsTheAddressedUniform) {
  const std::vector<double> p = {.15, .5, .05, .3};
  std::vector<float> logits;
  for (const double x : p) logits.push_back(float(std::log(x)));
  for (uint64_t position = 0; position < 200; ++position) {
    SamplingState state;
    state.seed = 7;
    state.position = position;
    double u = philox_uniform(7, 0, position, 0);
    int32_t expected = 0;
    while (u >= p[size_t(expected)]) u -= p[size_t(expected++)];
    EXPECT_THAT(tokens_after(stages::draw(), logits, state), ElementsAre(expected));
  }
}

TEST(Draw, NeverTakesWhatCannotBeChosen) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    SamplingState state;
    state.seed = seed;
    const auto token = tokens_after(stages::draw(), {-kInf, 0, -kInf, 0, -kInf}, state);
    EXPECT_TRUE(token[0] == 1 || token[0] == 3);
  }
  EXPECT_THROW(tokens_after(stages::draw(), {-kInf, -kInf}), Error);
}

TEST(Argmax, TiesByIdAndNanNever) {
  EXPECT_EQ(stages::argmax(std::vector<float>{1, 3, 3}), 1);
  EXPECT_EQ(stages::argmax(std::vector<float>{NAN, -5, NAN}), 1);
  EXPECT_EQ(stages::argmax(std::vector<float>{1, kInf, 3}), 1);
  EXPECT_EQ(stages::argmax(std::vector<float>{NAN, -kInf}), -1);
}

}  // namespace
}  // namespace gale
