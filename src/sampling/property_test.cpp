#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"
#include "base/test_allocations.h"
#include "gale/error.h"
#include "sampling/sampler.h"

// Whatever the parameters and the logits: an allowed token, or an Error that says there is none.
namespace gale {
namespace {

using testing::allocations;

constexpr float kNever = -std::numeric_limits<float>::infinity();

struct Random {
  SplitMix64 rng;
  bool one_in(uint64_t n) { return rng() % n == 0; }
  float upto(float x) { return rng.uniform() * x; }
  int32_t below(int64_t n) { return int32_t(rng() % uint64_t(n)); }
  std::vector<int32_t> tokens(int64_t n, int64_t vocab) {
    std::vector<int32_t> out;
    for (int64_t i = 0; i < n; ++i) out.push_back(below(vocab));
    return out;
  }
};

SamplingParams random_params(Random& r, int64_t vocab) {
  SamplingParams p;
  p.dry_sequence_breakers.clear();
  p.temperature = r.one_in(5) ? 0 : r.one_in(5) ? 1e-30f : r.one_in(5) ? 1e4f : 0.05f + r.upto(3);
  if (r.one_in(4)) p.dynamic_temperature_range = r.upto(p.temperature), p.dynamic_temperature_exponent = 0.1f + r.upto(3);
  if (r.one_in(3)) p.top_k = 1 + r.below(2 * vocab);
  if (r.one_in(3)) p.top_p = 1e-6f + r.upto(0.999f);
  if (r.one_in(4)) p.min_p = r.upto(0.99f);
  if (r.one_in(4)) p.typical_p = 1e-6f + r.upto(0.999f);
  if (r.one_in(4)) p.top_a = r.upto(1);
  if (r.one_in(4)) p.tail_free = 1e-6f + r.upto(0.999f);
  if (r.one_in(4)) p.top_n_sigma = r.upto(3);
  if (r.one_in(4)) p.epsilon_cutoff = r.upto(0.99f);
  if (r.one_in(4)) p.eta_cutoff = r.upto(0.99f);
  if (r.one_in(3)) p.xtc_probability = r.upto(1), p.xtc_threshold = 1e-6f + r.upto(0.499f);
  if (r.one_in(3)) p.repetition_penalty = 0.01f + r.upto(3);
  if (r.one_in(3)) p.frequency_penalty = r.upto(4) - 2, p.presence_penalty = r.upto(4) - 2;
  if (r.one_in(2)) p.penalty_last_n = r.below(30) - 1;
  if (r.one_in(6)) p.no_repeat_ngram = 1 + r.below(4);
  if (r.one_in(3)) p.dry_multiplier = r.upto(1e6f), p.dry_base = 1 + r.upto(1e6f), p.dry_allowed_length = 1 + r.below(5);
  if (r.one_in(4) && p.temperature > 0) p.mirostat = 1 + r.below(2), p.mirostat_tau = 0.01f + r.upto(10);
  if (r.one_in(4)) p.banned_ids = r.tokens(1 + r.below(vocab / 2 + 1), vocab);
  if (r.one_in(5)) p.allowed_ids = r.tokens(1 + r.below(9), vocab);
  if (r.one_in(4)) p.logit_bias = {{r.below(vocab), r.upto(200) - 100}, {r.below(vocab), 3e38f}, {r.below(vocab), -3e38f}};
  if (r.one_in(3)) {
    p.order = sampling_stages();
    for (size_t i = p.order.size(); i-- > 1;) std::swap(p.order[i], p.order[r.rng() % (i + 1)]);
  }
  p.seed = r.rng();
  return p;
}

std::vector<float> random_row(Random& r, int64_t vocab) {
  std::vector<float> out;
  const float scale = r.one_in(6) ? 0 : r.one_in(6) ? 1e38f : r.upto(12);
  const uint64_t masked = r.one_in(3) ? 2 : r.one_in(8) ? 1 : 1000;  // one in so many
  for (int64_t i = 0; i < vocab; ++i)
    out.push_back(r.one_in(masked) ? (r.one_in(9) ? NAN : kNever) : r.one_in(500) ? -kNever : (r.rng.uniform() - 0.5f) * scale);
  return out;
}

bool contains(const std::vector<int32_t>& ids, int32_t token) { return std::find(ids.begin(), ids.end(), token) != ids.end(); }

TEST(SamplingProperties, AnAllowedTokenOrAnError) {
  Random r{{20}};
  Candidates scratch, other;
  int drawn = 0, refused = 0;
  for (int round = 0; round < 3000; ++round) {
    const int64_t vocab = round % 10 == 0 ? 3000 + r.below(3000) : 1 + r.below(60);
    const SamplingParams p = random_params(r, vocab);
    try {
      SamplerChain chain(p, vocab, {.tokenizer = nullptr, .end_tokens = {0, int32_t(vocab + 5), -1}, .min_tokens = r.below(3)});
      const std::vector<float> logits = random_row(r, vocab);
      // Ids beyond the logits, as some families have them.
      const auto prompt = r.tokens(r.below(40), vocab + 3), generated = r.tokens(r.below(40), vocab + 3);
      const SamplingState state{.prompt = prompt, .generated = generated, .seed = p.seed, .position = r.rng()};
      const int32_t token = chain.sample(logits, state, scratch);
      ASSERT_GE(token, 0);
      ASSERT_LT(token, vocab);
      ASSERT_GT(logits[size_t(token)], kNever) << "masked";
      ASSERT_FALSE(contains(p.banned_ids, token));
      ASSERT_TRUE(p.allowed_ids.empty() || contains(p.allowed_ids, token));
      ASSERT_EQ(SamplerChain(chain).sample(logits, state, other), token) << "on another thread's memory";
      ASSERT_EQ(chain.sample(logits, state, scratch), token) << "gone back to the same position";
      ASSERT_TRUE(std::ranges::all_of(scratch.counts, [](int32_t n) { return n == 0; }));
      ++drawn;
    } catch (const Error& e) {
      ASSERT_EQ(e.code(), ErrorCode::invalid_argument);
      ++refused;
    }
  }
  EXPECT_GT(drawn, 1500);
  EXPECT_GT(refused, 50);
}

TEST(SamplingProperties, ASteadyStepAllocatesNothing) {
  const int64_t vocab = 30000;
  Random r{{4}};
  std::vector<std::vector<float>> rows;
  for (int i = 0; i < 4; ++i) {
    rows.emplace_back();
    const float scale = i == 0 ? 0.1f : 5 * float(i);
    for (int64_t t = 0; t < vocab; ++t) rows.back().push_back(r.upto(scale) - scale / 2);
  }
  const auto prompt = r.tokens(300, 50);
  for (int mirostat = 0; mirostat <= 2; ++mirostat) {
    SamplingParams p;
    p.temperature = 0.9f, p.dynamic_temperature_range = 0.3f, p.repetition_penalty = 1.1f, p.presence_penalty = 0.1f;
    p.no_repeat_ngram = 4, p.dry_multiplier = 1, p.typical_p = 0.99f, p.tail_free = 0.99f, p.top_p = 0.999f, p.min_p = 1e-6f;
    p.epsilon_cutoff = p.eta_cutoff = 1e-7f, p.xtc_probability = 0.5f, p.top_k = 20000, p.top_n_sigma = 10, p.top_a = 1e-6f;
    p.dry_sequence_breakers.clear(), p.banned_ids = {3}, p.logit_bias = {{4, 1.0f}}, p.mirostat = mirostat;
    SamplerChain chain(p, vocab);
    Candidates scratch;
    const auto steps = [&] {
      for (uint64_t i = 0; i < 40; ++i)
        chain.sample(rows[i % 4], {.prompt = prompt, .generated = std::span(prompt).first(i), .position = i}, scratch);
    };
    steps();
    const int64_t before = allocations;
    steps();
    EXPECT_EQ(allocations, before);
    EXPECT_GT(before, 0) << "the control: allocations are counted";
  }
}

}  // namespace
}  // namespace gale
