#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/rng.h"
#include "gale/error.h"
#include "sampling/sampler.h"
#include "tokenizer/tokenizer.h"

namespace gale {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

SamplingState at(uint64_t seed, uint64_t position) {
  SamplingState state;
  state.seed = seed;
  state.position = position;
  return state;
}

int32_t sample_once(const SamplingParams& params, const std::vector<float>& logits, const SamplingState& state) {
  Candidates scratch;
  return SamplerChain(params, int64_t(logits.size())).sample(logits, state, scratch);
}

// Expects an error that names the field.
void expect_refused(const std::string& field, const std::function<void(SamplingParams&)>& spoil) {
  SamplingParams params;
  spoil(params);
  try {
    SamplerChain chain(params, 10);
    ADD_FAILURE() << field << " was accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    EXPECT_EQ(std::string(e.what()).rfind(field, 0), 0u) << e.what();
  }
}

TEST(SamplerChain, RefusesEveryFieldOutOfRangeByName) {
  for (const float bad : {NAN, kInf, -kInf}) {
    expect_refused("logit_bias", [&](auto& p) { p.logit_bias = {{3, bad}}; });
    expect_refused("repetition_penalty", [&](auto& p) { p.repetition_penalty = bad; });
    expect_refused("frequency_penalty", [&](auto& p) { p.frequency_penalty = bad; });
    expect_refused("presence_penalty", [&](auto& p) { p.presence_penalty = bad; });
    expect_refused("temperature", [&](auto& p) { p.temperature = bad; });
    expect_refused("top_p", [&](auto& p) { p.top_p = bad; });
    expect_refused("min_p", [&](auto& p) { p.min_p = bad; });
  }
  expect_refused("logit_bias", [](auto& p) { p.logit_bias = {{10, 1.0f}}; });
  expect_refused("logit_bias", [](auto& p) { p.logit_bias = {{-1, 1.0f}}; });
  expect_refused("repetition_penalty", [](auto& p) { p.repetition_penalty = 0; });
  expect_refused("frequency_penalty", [](auto& p) { p.frequency_penalty = 2.01f; });
  expect_refused("presence_penalty", [](auto& p) { p.presence_penalty = -2.01f; });
  expect_refused("temperature", [](auto& p) { p.temperature = -0.1f; });
  expect_refused("top_k", [](auto& p) { p.top_k = -1; });
  expect_refused("top_p", [](auto& p) { p.top_p = 0; });
  expect_refused("top_p", [](auto& p) { p.top_p = 1.01f; });
  expect_refused("min_p", [](auto& p) { p.min_p = 1; });
  expect_refused("min_p", [](auto& p) { p.min_p = -0.1f; });
  for (const float bad : {NAN, kInf, -1.0f}) {
    expect_refused("dynamic_temperature_range", [&](auto& p) { p.dynamic_temperature_range = bad; });
    expect_refused("dynamic_temperature_exponent", [&](auto& p) { p.dynamic_temperature_exponent = bad; });
    expect_refused("typical_p", [&](auto& p) { p.typical_p = bad; });
    expect_refused("top_a", [&](auto& p) { p.top_a = bad; });
    expect_refused("tail_free", [&](auto& p) { p.tail_free = bad; });
    expect_refused("top_n_sigma", [&](auto& p) { p.top_n_sigma = bad; });
    expect_refused("epsilon_cutoff", [&](auto& p) { p.epsilon_cutoff = bad; });
    expect_refused("eta_cutoff", [&](auto& p) { p.eta_cutoff = bad; });
    expect_refused("xtc_probability", [&](auto& p) { p.xtc_probability = bad; });
    expect_refused("xtc_threshold", [&](auto& p) { p.xtc_threshold = bad; });
    expect_refused("mirostat_tau", [&](auto& p) { p.mirostat_tau = bad; });
    expect_refused("mirostat_eta", [&](auto& p) { p.mirostat_eta = bad; });
    expect_refused("dry_multiplier", [&](auto& p) { p.dry_multiplier = bad; });
    expect_refused("dry_base", [&](auto& p) { p.dry_base = bad; });
    expect_refused("logit_bias_text", [&](auto& p) { p.logit_bias_text = {{"a", bad}}; });
  }
  expect_refused("dynamic_temperature_range", [](auto& p) { p.temperature = 1, p.dynamic_temperature_range = 1.01f; });
  expect_refused("penalty_last_n", [](auto& p) { p.penalty_last_n = -2; });
  expect_refused("no_repeat_ngram", [](auto& p) { p.no_repeat_ngram = -1; });
  expect_refused("dry_allowed_length", [](auto& p) { p.dry_allowed_length = 0; });
  expect_refused("dry_last_n", [](auto& p) { p.dry_last_n = -2; });
  expect_refused("dry_sequence_breakers", [](auto& p) { p.dry_sequence_breakers = {""}; });
  expect_refused("dry_sequence_breakers", [](auto& p) { p.dry_sequence_breakers = {std::string(41, 'x')}; });
  expect_refused("dry_sequence_breakers", [](auto& p) { p.dry_sequence_breakers.assign(7, std::string(40, 'x')); });
  expect_refused("dry_sequence_breakers", [](auto& p) { p.dry_multiplier = 1; });  // no tokenizer here
  expect_refused("logit_bias_text", [](auto& p) { p.logit_bias_text = {{"a", 1.0f}}; });
  expect_refused("logit_bias_text", [](auto& p) { p.logit_bias_text = {{"", 1.0f}}; });
  expect_refused("banned_ids", [](auto& p) { p.banned_ids = {10}; });
  expect_refused("banned_ids", [](auto& p) { p.banned_ids = {-1}; });
  expect_refused("banned_ids", [](auto& p) { p.banned_ids = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9}; });
  expect_refused("banned_ids", [](auto& p) { p.allowed_ids = {3, 4}, p.banned_ids = {4, 3, 5}; });
  expect_refused("allowed_ids", [](auto& p) { p.allowed_ids = {10}; });
  expect_refused("processors", [](auto& p) { p.processors = {nullptr}; });
  expect_refused("mirostat", [](auto& p) { p.temperature = 1, p.mirostat = 3; });
  expect_refused("mirostat", [](auto& p) { p.mirostat = 1; });  // at temperature 0
  expect_refused("xtc_threshold", [](auto& p) { p.xtc_threshold = 0.51f; });
  expect_refused("order names \"top_q\"", [](auto& p) { p.order = {"top_q"}; });
  expect_refused("order names \"top_k\" twice", [](auto& p) { p.order = {"top_k", "top_p", "top_k"}; });
  expect_refused("order does not name \"top_p\"", [](auto& p) { p.temperature = 1, p.top_p = 0.5f, p.order = {"top_k"}; });
  expect_refused("logprobs", [](auto& p) { p.logprobs = 21; });
  expect_refused("logprobs", [](auto& p) { p.logprobs = -2; });
}

TEST(SamplerChain, GreedyTakesTheLargestAndHonoursBiasAndPenalties) {
  const std::vector<float> logits = {1, 5, 4, 5};
  SamplingParams params;
  EXPECT_EQ(sample_once(params, logits, {}), 1);
  params.logit_bias = {{1, -100.0f}};
  EXPECT_EQ(sample_once(params, logits, {}), 3);
  params.presence_penalty = 2;
  const std::vector<int32_t> generated = {3};
  SamplingState state;
  state.generated = generated;
  EXPECT_EQ(sample_once(params, logits, state), 2);
}

TEST(SamplerChain, BiasByTextIsThatOfItsTokens) {
  const auto tokenizer = Tokenizer::from_json(
      R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,"c":2,"ab":3},"merges":["a b"]},"decoder":{"type":"Fuse"}})");
  SamplingParams params;
  params.logit_bias_text = {{"abc", 5.0f}, {"b", 2.0f}};  // ab c, and b
  Candidates scratch;
  SamplerChain chain(params, 4, {.tokenizer = tokenizer.get(), .end_tokens = {}});
  EXPECT_EQ(chain.sample(std::vector<float>{4, 2.5f, 0, 0}, {}, scratch), 2) << "c is 5, b 4.5";
  EXPECT_EQ(chain.sample(std::vector<float>{4, 2.5f, 0, 0.5f}, {}, scratch), 3);
  params.logit_bias_text = {{"ab", 1.0f}};
  EXPECT_THROW(SamplerChain(params, 3, {.tokenizer = tokenizer.get(), .end_tokens = {}}), Error) << "a token beyond the logits";
}

TEST(SamplerChain, XtcHasNoSayAtTemperatureZero) {
  SamplingParams params;
  params.xtc_probability = 1;
  params.top_k = 2;
  EXPECT_EQ(sample_once(params, {1, 5, 4, 5}, {}), 1);
}

TEST(SamplerChain, NonFiniteLogitsDoNotCrash) {
  SamplingParams params;
  params.repetition_penalty = 1.3f;
  params.frequency_penalty = 1;
  params.temperature = 0.7f;
  params.top_k = 5;
  params.top_p = 0.9f;
  params.min_p = 0.05f;
  const std::vector<int32_t> prompt = {0, 1, 2, 3};
  SamplingState state;
  state.prompt = state.generated = prompt;
  for (const auto& logits : std::vector<std::vector<float>>{{NAN, NAN, NAN, NAN},
                                                            {-kInf, -kInf, -kInf, -kInf},
                                                            {kInf, kInf, kInf, kInf},
                                                            {NAN, kInf, -kInf, 1},
                                                            {3e38f, -3e38f, 3e38f, -3e38f}}) {
    const bool none = std::ranges::none_of(logits, [](float x) { return x > -kInf; });
    for (const float temperature : {0.0f, 1e-30f, 0.7f, 1.0f, 1e4f}) {
      params.temperature = temperature;
      if (none) {
        EXPECT_THROW(sample_once(params, logits, state), Error);
        EXPECT_THROW(sample_once({}, logits, state), Error);
        continue;
      }
      const int32_t token = sample_once(params, logits, state);
      EXPECT_GE(token, 0);
      EXPECT_LT(token, 4);
    }
  }
  params.temperature = 1;
  EXPECT_EQ(sample_once(params, std::vector<float>{NAN, NAN, 1, NAN}, state), 2);
}

TEST(SamplerChain, OutOfRangeHistoryIsIgnored) {
  SamplingParams params;
  params.repetition_penalty = 2;
  params.presence_penalty = 1;
  const std::vector<int32_t> strange = {-1, 100};
  SamplingState state;
  state.prompt = state.generated = strange;
  EXPECT_EQ(sample_once(params, std::vector<float>{1, 2, 3}, state), 2);
}

// Frequencies of 40000 draws against the distribution that the stages define, worked out here in double.
TEST(SamplerChain, DrawsFollowTheDistribution) {
  SamplingParams params;
  params.temperature = 0.8f;
  params.top_k = 6;
  params.top_p = 0.95f;
  params.min_p = 0.05f;
  const std::vector<float> logits = {0.1f, 2.0f, -1.0f, 1.5f, 1.0f, 0.5f, -0.5f, 1.8f};
  // Temperature and top-k leave 1, 7, 3, 4, 5, 0; top-p and min-p then drop the tail.
  const std::vector<size_t> order = {1, 7, 3, 4, 5, 0};
  std::vector<double> p(logits.size());
  double total = 0, kept = 0;
  for (const size_t i : order) total += std::exp(double(logits[i]) / double(params.temperature));
  for (const size_t i : order) {
    if (kept >= double(params.top_p) * total) break;
    p[i] = std::exp(double(logits[i]) / double(params.temperature));
    kept += p[i];
  }
  for (double& x : p) x = x < double(params.min_p) * p[1] ? 0 : x;
  double sum = 0;
  for (const double x : p) sum += x;
  const int n = 40000;
  std::vector<int> counts(logits.size());
  SamplerChain chain(params, int64_t(logits.size()));
  Candidates scratch;
  for (int i = 0; i < n; ++i) ++counts[size_t(chain.sample(logits, at(99, uint64_t(i)), scratch))];
  double chi = 0;
  int kinds = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] == 0) {
      EXPECT_EQ(counts[i], 0);
      continue;
    }
    const double expected = n * p[i] / sum;
    chi += (counts[i] - expected) * (counts[i] - expected) / expected;
    ++kinds;
  }
  EXPECT_GE(kinds, 4);
  EXPECT_LT(chi, 20.5);  // the 0.1 % point of chi-square with 5 degrees of freedom
  // Positive control: the same counts against another temperature must not pass.
  double wrong = 0;
  for (size_t i = 0; i < p.size(); ++i)
    if (p[i] > 0) wrong += std::pow(counts[i] - double(n) / kinds, 2) / (double(n) / kinds);
  EXPECT_GT(wrong, 1000);
}

TEST(SamplerChain, SeedAndPositionAddressTheDraw) {
  SamplingParams params;
  params.temperature = 1;
  const std::vector<float> logits(1000, 0.0f);
  SamplerChain forward(params, 1000), backward(params, 1000);
  std::vector<int32_t> a, b, other;
  Candidates scratch;
  for (uint64_t i = 0; i < 50; ++i) a.push_back(forward.sample(logits, at(3, i), scratch));
  for (uint64_t i = 50; i-- > 0;) b.insert(b.begin(), backward.sample(logits, at(3, i), scratch));
  for (uint64_t i = 0; i < 50; ++i) other.push_back(forward.sample(logits, at(4, i), scratch));
  EXPECT_EQ(a, b);
  EXPECT_NE(a, other);
}

TEST(SamplerChain, CopiesChooseTheSame) {
  SamplingParams params;
  params.temperature = 0.9f;
  params.top_k = 50;
  params.repetition_penalty = 1.1f;
  SplitMix64 rng{5};
  std::vector<float> logits(500);
  for (float& x : logits) x = rng.uniform() * 10;
  const std::vector<int32_t> prompt = {1, 2, 3};
  SamplerChain chain(params, 500), copy(chain);
  Candidates scratch;
  for (uint64_t i = 0; i < 100; ++i) {
    SamplingState state = at(1, i);
    state.prompt = prompt;
    EXPECT_EQ(chain.sample(logits, state, scratch), copy.sample(logits, state, scratch));
  }
}

Logprobs logprobs_of(const std::vector<float>& logits, int32_t chosen, int32_t n) {
  Candidates scratch;
  return log_probabilities(logits, chosen, n, scratch);
}

TEST(Logprobs, OfTheRawDistributionMostLikelyFirst) {
  const std::vector<float> logits = {std::log(.15f), std::log(.5f), std::log(.05f), std::log(.3f)};
  const Logprobs out = logprobs_of(logits, 2, 3);
  EXPECT_NEAR(out.chosen, std::log(.05), 1e-6);
  ASSERT_EQ(out.top.size(), 3u);
  EXPECT_EQ(out.top[0].token, 1);
  EXPECT_EQ(out.top[1].token, 3);
  EXPECT_EQ(out.top[2].token, 0);
  EXPECT_NEAR(out.top[1].logprob, std::log(.3), 1e-6);
  EXPECT_TRUE(logprobs_of(logits, 2, 0).top.empty());
  EXPECT_EQ(logprobs_of(logits, 2, 20).top.size(), 4u);
}

TEST(Logprobs, StableForLargeLogitsAndTies) {
  const Logprobs out = logprobs_of(std::vector<float>{1e4f, 1e4f, -1e4f}, 0, 2);
  EXPECT_NEAR(out.chosen, std::log(.5), 1e-6);
  EXPECT_EQ(out.top[0].token, 0);
  EXPECT_EQ(out.top[1].token, 1);
  EXPECT_TRUE(std::isfinite(logprobs_of(std::vector<float>{NAN, NAN}, 1, 1).chosen));
  EXPECT_EQ(logprobs_of(std::vector<float>{NAN, 2, NAN}, 1, 1).chosen, 0);
}

TEST(Logprobs, SumToOne) {
  SplitMix64 rng{9};
  std::vector<float> logits(20);
  for (float& x : logits) x = 6 * rng.uniform();
  double sum = 0;
  for (const auto& t : logprobs_of(logits, 0, 20).top) sum += std::exp(double(t.logprob));
  EXPECT_NEAR(sum, 1, 1e-6);
}

}  // namespace
}  // namespace gale
