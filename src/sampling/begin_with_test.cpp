#include <gtest/gtest.h>

#include <set>

#include "base/fail.h"
#include "base/rng.h"
#include "sampling/sampler.h"
#include "tokenizer/token_search.h"
#include "tokenizer/tokenizer.h"

namespace gale {
namespace {

constexpr int64_t kVocab = 9;

std::unique_ptr<Tokenizer> words() {
  return Tokenizer::from_json(
      R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,":":2,"/":3,"//":4,"://":5,"ab":6,"a:":7,"<end>":8},"merges":[]},)"
      R"("added_tokens":[{"id":8,"content":"<end>","special":true}],"decoder":{"type":"Fuse"}})");
}

std::vector<int32_t> write(SamplerChain& chain, uint64_t seed, int n) {
  SplitMix64 rng{seed};
  std::vector<int32_t> out;
  Candidates scratch;
  for (int i = 0; i < n; ++i) {
    std::vector<float> logits(kVocab);
    for (float& x : logits) x = rng.uniform() * 8;
    SamplingState state;
    state.generated = out;
    state.seed = seed;
    state.position = uint64_t(i);
    out.push_back(chain.sample(logits, state, scratch));
  }
  return out;
}

// Every way to write the text comes up, none else, and what comes after it is free.
TEST(BeginWith, TheTextInAnyTokens) {
  const auto tokenizer = words();
  std::set<std::vector<int32_t>> ways;
  std::set<int32_t> after;
  for (const float temperature : {0.0f, 1.0f}) {
    SamplingParams params;
    params.begin_with = "ab:/";
    params.temperature = temperature;
    SamplerChain chain(params, kVocab, {.tokenizer = tokenizer.get(), .end_tokens = {}});
    for (uint64_t seed = 0; seed < 300; ++seed) {
      const std::vector<int32_t> tokens = write(chain, seed, 6);
      std::string text;
      size_t n = 0;
      while (text.size() < 4) text += tokenizer->piece(tokens[n++]);
      EXPECT_TRUE(text == "ab:/" || text == "ab://") << text;
      ways.insert({tokens.begin(), tokens.begin() + long(n)});
      after.insert(tokens.begin() + long(n), tokens.end());
    }
  }
  const std::set<std::vector<int32_t>> expected = {{0, 1, 2, 3}, {0, 1, 2, 4}, {0, 1, 5}, {6, 2, 3}, {6, 2, 4}, {6, 5}};
  EXPECT_EQ(ways, expected);
  EXPECT_EQ(after.size(), size_t(kVocab));
}

TEST(BeginWith, HealsAPrompt) {
  const auto tokenizer = words();
  const Healed healed = heal(*tokenizer, {6, 2});  // "ab" ":", where "://" may have been meant
  SamplingParams params;
  params.begin_with = healed.text;
  SamplerChain chain(params, kVocab, {.tokenizer = tokenizer.get(), .end_tokens = {}});
  Candidates scratch;
  std::vector<float> logits = {9, 9, 1, 9, 9, 2, 9, 9, 9};
  EXPECT_EQ(chain.sample(logits, {}, scratch), 5);
  logits[2] = 3;
  EXPECT_EQ(chain.sample(logits, {}, scratch), 2) << "or it was not";
}

TEST(BeginWith, MasksThatLeaveNothingAreAnError) {
  const auto tokenizer = words();
  for (const float temperature : {0.0f, 1.0f}) {
    SamplingParams params;
    params.begin_with = "ab";
    params.allowed_ids = {5};
    params.temperature = temperature;
    params.top_p = 0.9f;
    SamplerChain chain(params, kVocab, {.tokenizer = tokenizer.get(), .end_tokens = {}});
    Candidates scratch;
    EXPECT_THROW(chain.sample(std::vector<float>(kVocab, 1.0f), {}, scratch), Error);
  }
}

TEST(BeginWith, RefusesWhatNoTokenBegins) {
  const auto tokenizer = words();
  const auto make = [&](const std::string& text, const Tokenizer* t) {
    SamplingParams params;
    params.begin_with = text;
    SamplerChain(params, kVocab, {.tokenizer = t, .end_tokens = {}});
  };
  EXPECT_THROW(make("z", tokenizer.get()), Error);
  EXPECT_THROW(make("a", nullptr), Error);
  EXPECT_THROW(make(std::string(257, 'a'), tokenizer.get()), Error);
  EXPECT_NO_THROW(make(std::string(256, 'a'), tokenizer.get()));
}

}  // namespace
}  // namespace gale
