#include "sampling/stages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"

namespace gale {
namespace {

using ::testing::ElementsAre;
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<Candidate> candidates(const std::vector<float>& logits) {
  std::vector<Candidate> out;
  for (size_t i = 0; i < logits.size(); ++i) out.push_back({int32_t(i), logits[i]});
  return out;
}

std::vector<float> logits_after(const stages::Stage& stage, const std::vector<float>& logits, const SamplingState& state = {}) {
  auto list = candidates(logits);
  stage->apply(list, state);
  std::vector<float> out;
  for (const Candidate& c : list) out.push_back(c.logit);
  return out;
}

std::vector<int32_t> tokens_after(const stages::Stage& stage, std::vector<Candidate> list, const SamplingState& state = {}) {
  stage->apply(list, state);
  std::vector<int32_t> out;
  for (const Candidate& c : list) out.push_back(c.token);
  return out;
}

std::vector<float> random_logits(size_t n, uint64_t seed) {
  SplitMix64 rng{seed};
  std::vector<float> out(n);
  for (float& x : out) x = 8 * rng.uniform() - 4;
  return out;
}

TEST(LogitBias, AddsEveryEntry) {
  const auto stage = stages::logit_bias({{1, 2.5f}, {3, -100.0f}, {1, 0.5f}}, 4);
  EXPECT_THAT(logits_after(stage, {1, 1, 1, 1}), ElementsAre(1, 4, 1, -99));
}

// transformers' RepetitionPenaltyLogitsProcessor: score < 0 ? score * p : score / p, once per distinct id of prompt and text.
TEST(RepetitionPenalty, DividesPositiveMultipliesNegativeOncePerToken) {
  const std::vector<int32_t> prompt = {0, 0, 1}, generated = {1, 3, 3, 3};
  SamplingState state;
  state.prompt = prompt;
  state.generated = generated;
  const auto stage = stages::repetition_penalty(2, 5);
  const std::vector<float> logits = {4, -4, 4, 0, -1};
  EXPECT_THAT(logits_after(stage, logits, state), ElementsAre(2, -8, 4, 0, -1));
  EXPECT_THAT(logits_after(stage, logits, state), ElementsAre(2, -8, 4, 0, -1)) << "nothing is remembered from call to call";
  EXPECT_THAT(logits_after(stages::repetition_penalty(0.5, 5), logits, state), ElementsAre(8, -2, 4, 0, -1));
}

// OpenAI: mu[j] - c[j] * frequency - (c[j] > 0) * presence, c counting the sampled tokens only.
TEST(CountPenalties, FrequencyPerOccurrencePresenceOncePromptNotCounted) {
  const std::vector<int32_t> prompt = {0, 0, 1}, generated = {1, 3, 3, 3};
  SamplingState state;
  state.prompt = prompt;
  state.generated = generated;
  const auto stage = stages::count_penalties(0.5, 0.25);
  for (int i = 0; i < 2; ++i) EXPECT_THAT(logits_after(stage, {1, 1, 1, 1, 1}, state), ElementsAre(1, 0.25, 1, -0.75, 1));
  EXPECT_THAT(logits_after(stages::count_penalties(-1, 0), {1, 1, 1, 1, 1}, state), ElementsAre(1, 2, 1, 4, 1));
  EXPECT_THAT(logits_after(stages::count_penalties(0, 2), {1, 1, 1, 1, 1}, state), ElementsAre(1, -1, 1, -1, 1));
}

TEST(Temperature, DividesTheDistanceFromTheLargest) {
  EXPECT_THAT(logits_after(stages::temperature(2), {1, 3, -kInf, -1}), ElementsAre(-1, 0, -kInf, -2));
  EXPECT_THAT(logits_after(stages::temperature(0.5), {1, 3, 2}), ElementsAre(-4, 0, -2));
  EXPECT_THAT(logits_after(stages::temperature(1e-40f), {1, 3, 3}), ElementsAre(-kInf, 0, 0));
  EXPECT_THAT(logits_after(stages::temperature(2), {-kInf, -kInf}), ElementsAre(-kInf, -kInf));
}

TEST(TopK, KeepsTheMostLikelyTiesByLowestId) {
  EXPECT_THAT(tokens_after(stages::top_k(2), candidates({1, 5, 3, 5})), ElementsAre(1, 3));
  EXPECT_THAT(tokens_after(stages::top_k(3), candidates({2, 2, 2, 2, 2})), ElementsAre(0, 1, 2));
  EXPECT_THAT(tokens_after(stages::top_k(9), candidates({1, 5, 3})), ElementsAre(1, 2, 0));
}

TEST(TopK, EqualsAFullSort) {
  const auto logits = random_logits(5000, 1);
  auto sorted = candidates(logits);
  std::sort(sorted.begin(), sorted.end(), stages::more_likely);
  const auto kept = tokens_after(stages::top_k(77), candidates(logits));
  ASSERT_EQ(kept.size(), 77u);
  for (size_t i = 0; i < kept.size(); ++i) EXPECT_EQ(kept[i], sorted[i].token);
}

// softmax of ln(.5), ln(.3), ln(.15), ln(.05)
TEST(TopP, KeepsTheTokenThatReachesP) {
  const auto list = candidates({std::log(.15f), std::log(.5f), std::log(.05f), std::log(.3f)});
  EXPECT_THAT(tokens_after(stages::top_p(0.4f), list), ElementsAre(1));
  EXPECT_THAT(tokens_after(stages::top_p(0.6f), list), ElementsAre(1, 3));
  EXPECT_THAT(tokens_after(stages::top_p(0.79f), list), ElementsAre(1, 3));
  EXPECT_THAT(tokens_after(stages::top_p(0.94f), list), ElementsAre(1, 3, 0));
  EXPECT_THAT(tokens_after(stages::top_p(0.99f), list), ElementsAre(1, 3, 0, 2));
  EXPECT_THAT(tokens_after(stages::top_p(1e-6f), list), ElementsAre(1)) << "the most likely stays whatever p";
}

TEST(TopP, PrefixSortsGiveWhatAFullSortGives) {
  const auto logits = random_logits(20000, 2);
  auto sorted = candidates(logits);
  std::sort(sorted.begin(), sorted.end(), stages::more_likely);
  double total = 0;
  for (const Candidate& c : sorted) total += std::exp(double(c.logit));
  for (const float p : {0.001f, 0.02f, 0.3f, 0.9f, 0.9999f}) {
    size_t n = 0;
    for (double sum = 0; sum < double(p) * total && n < sorted.size(); ++n) sum += std::exp(double(sorted[n].logit));
    const auto kept = tokens_after(stages::top_p(p), candidates(logits));
    EXPECT_NEAR(double(kept.size()), double(n), 1) << p;  // the two sums round differently
    for (size_t i = 0; i < std::min(kept.size(), n); ++i) ASSERT_EQ(kept[i], sorted[i].token);
  }
}

TEST(TopP, TiesGoToTheLowestIds) {
  EXPECT_THAT(tokens_after(stages::top_p(0.5f), candidates(std::vector<float>(300, 1.0f))).size(), 150u);
  EXPECT_EQ(tokens_after(stages::top_p(0.5f), candidates(std::vector<float>(300, 1.0f))).back(), 149);
}

TEST(MinP, DropsWhatIsBelowAShareOfTheMostLikely) {
  const auto list = candidates({std::log(.15f), std::log(.5f), std::log(.05f), std::log(.3f)});
  EXPECT_THAT(tokens_after(stages::min_p(0.59f), list), ElementsAre(1, 3));
  EXPECT_THAT(tokens_after(stages::min_p(0.61f), list), ElementsAre(1));
  EXPECT_THAT(tokens_after(stages::min_p(0.09f), list), ElementsAre(0, 1, 2, 3));
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
    EXPECT_THAT(tokens_after(stages::draw(), candidates(logits), state), ElementsAre(expected));
  }
}

TEST(Draw, NeverTakesWhatCannotBeChosen) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    SamplingState state;
    state.seed = seed;
    const auto token = tokens_after(stages::draw(), candidates({-kInf, 0, -kInf, 0, -kInf}), state);
    EXPECT_TRUE(token[0] == 1 || token[0] == 3);
  }
  EXPECT_EQ(tokens_after(stages::draw(), candidates({-kInf, -kInf})).size(), 1u);
}

TEST(Argmax, TiesByIdAndNanNever) {
  EXPECT_EQ(stages::argmax(std::vector<float>{1, 3, 3}), 1);
  EXPECT_EQ(stages::argmax(std::vector<float>{NAN, -5, NAN}), 1);
  EXPECT_EQ(stages::argmax(std::vector<float>{1, kInf, 3}), 1);
  EXPECT_EQ(stages::argmax(std::vector<float>{NAN, -kInf}), 0);
}

}  // namespace
}  // namespace gale
