#include "speculation/translation.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "gale/error.h"

// Two vocabularies of the tokenizer's tests: byte-level pieces, and sentencepiece with byte fallback.
namespace gale {
namespace {

std::unique_ptr<Tokenizer> open(const std::string& name) {
  std::ifstream file(std::string(GALE_SOURCE_DIR) + "/src/tokenizer/testdata/" + name + ".json");
  std::stringstream text;
  text << file.rdbuf();
  return Tokenizer::from_json(text.str());
}

const Tokenizer& named(const std::string& name) {
  static const auto llama = open("byte_llama3"), qwen = open("byte_qwen"), spm = open("spm_legacy");
  return name == "llama" ? *llama : name == "qwen" ? *qwen : *spm;
}

constexpr const char* kTexts[] = {
    "The quick brown fox jumps over the lazy dog, and then it sleeps under the old tree until the evening comes.",
    "def add(a, b):\n    return a + b  # twice\n\n\nprint(add(1, 2))\n",
    "Größe, naïve café — 你好，世界。 Привет мир! 🙂🙂 done.",
    "  two  spaces   and\ttabs \n\n and 12345 67.89 numbers",
};

std::vector<std::string> texts() {
  std::vector<std::string> out(std::begin(kTexts), std::end(kTexts));
  out.emplace_back(300, 'a');  // no space to cut at
  return out;
}

class Pairs : public ::testing::TestWithParam<std::pair<const char*, const char*>> {
 protected:
  const Tokenizer &theirs = named(GetParam().first), &ours = named(GetParam().second);
  const Translation translation{theirs, ours};
};

// Whole texts, told token by token: what is followed says the same, and nearly in the tokens it would have at once.
TEST_P(Pairs, FollowsATextThatGrows) {
  for (const std::string& text : texts()) {
    const std::vector<TokenId> told = theirs.encode(text), expected = ours.encode(text);
    Translation::Text at_once, growing;
    translation.follow(at_once, told);
    std::vector<TokenId> stable;
    for (size_t n = 1; n <= told.size(); ++n) {
      translation.follow(growing, std::span(told).first(n));
      ASSERT_GE(growing.stable, stable.size());
      ASSERT_TRUE(std::equal(stable.begin(), stable.end(), growing.tokens.begin())) << "what is stable stays";
      stable.assign(growing.tokens.begin(), growing.tokens.begin() + long(growing.stable));
      EXPECT_LE(growing.tokens.size() - growing.stable, ours.strips_leading_space() ? 514u : 66u)
          << "the end that is cut anew has a bound";
    }
    EXPECT_EQ(growing.tokens, at_once.tokens) << text;
    EXPECT_EQ(ours.decode(growing.tokens), ours.decode(expected)) << text;
    if (text.find("aaaa") == std::string::npos) EXPECT_EQ(growing.tokens, expected) << text;
  }
}

// A guess that is right comes back as the tokens that the text goes on with, as far as it goes.
TEST_P(Pairs, BringsGuessesBack) {
  size_t same = 0, tried = 0;
  for (const std::string& text : texts()) {
    const std::vector<TokenId> told = theirs.encode(text);
    for (size_t n = 3; n + 6 < told.size(); ++n) {
      const std::span<const TokenId> before = std::span(told).first(n), after = std::span(told).subspan(n, 4);
      std::string next;
      for (const TokenId id : after) next += theirs.piece(id);
      if (ours.strips_leading_space() && next.starts_with(' '))
        next.erase(0, 1);
      else if (ours.strips_leading_space())
        continue;  // such a guess begins with a space
      const std::vector<TokenId> guess = ours.encode(next, {.add_special = false, .parse_special = false});
      const std::vector<TokenId> got = translation.back(before, guess);
      ++tried;
      same += got.size() >= 3 && std::equal(got.begin(), got.begin() + 3, after.begin());
    }
  }
  EXPECT_GT(tried, 20u);
  EXPECT_GE(same * 10, tried * 9) << same << " of " << tried;
}

TEST_P(Pairs, HoldsAnyTokens) {
  Translation::Text out;
  std::vector<TokenId> any, guess;
  for (int i = 0; i < 600; ++i) any.push_back(TokenId((i * 7919) % theirs.vocab_size()));
  for (int i = 0; i < 30; ++i) guess.push_back(TokenId((i * 104729) % ours.vocab_size()));
  for (size_t n = 0; n <= any.size(); n += 3) {
    translation.follow(out, std::span(any).first(n));
    for (const TokenId id : translation.back(std::span(any).first(n), guess)) {
      EXPECT_GE(id, 0);
      EXPECT_LT(id, theirs.vocab_size());
    }
  }
  EXPECT_TRUE(translation.back(any, {}).empty());
}

INSTANTIATE_TEST_SUITE_P(Translation, Pairs,
                         ::testing::Values(std::pair("llama", "qwen"), std::pair("qwen", "llama"), std::pair("llama", "spm"),
                                           std::pair("spm", "qwen"), std::pair("spm", "spm")),
                         [](const auto& info) { return std::string(info.param.first) + "_" + info.param.second; });

TEST(Translation, SpecialTokensAreFoundByTheirText) {
  const Tokenizer &llama = named("llama"), &qwen = named("qwen");
  const Translation translation(llama, qwen);
  TokenId special = -1;
  for (TokenId id = 0; id < llama.vocab_size(); ++id)
    if (llama.is_special(id) && !qwen.find(llama.token_text(id))) special = id;
  ASSERT_GE(special, 0);
  std::vector<TokenId> text = llama.encode("one two", {.add_special = false});
  const size_t first = text.size();
  text.push_back(special);
  for (const TokenId id : llama.encode(" three", {.add_special = false})) text.push_back(id);
  Translation::Text out;
  translation.follow(out, text);
  EXPECT_EQ(qwen.decode(out.tokens), "one two three") << "one that is not theirs is left out";
  EXPECT_GE(out.stable, first > 0 ? 1u : 0u) << "nothing is cut across it";
}

TEST(Translation, IsNeedlessAmongEquals) {
  EXPECT_TRUE(Translation::is_needless(named("llama"), *open("byte_llama3")));
  EXPECT_FALSE(Translation::is_needless(named("llama"), named("qwen")));
}

}  // namespace
}  // namespace gale
