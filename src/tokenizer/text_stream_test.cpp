#include "tokenizer/text_stream.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"
#include "tokenizer/test_data.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

using namespace tokenizer_test;

std::string stream_all(TextStream& s, const std::vector<TokenId>& ids) {
  std::string out;
  for (const TokenId id : ids) out += s.push(id);
  return out + s.flush();
}

// One token per byte, so that tests choose how text arrives.
class ByBytes : public testing::Test {
 protected:
  std::vector<TokenId> bytes(std::string_view text) const {
    std::vector<TokenId> out;
    for (const char c : text) {
      const auto id = t_->find(std::string_view(&c, 1));
      EXPECT_TRUE(id);
      out.push_back(*id);
    }
    return out;
  }
  std::unique_ptr<Tokenizer> t_ = test_tokenizer("byte_llama3.json");
};

TEST_F(ByBytes, NeverGivesHalfACharacter) {
  TextStream s(*t_, {});
  std::vector<std::string> got;
  for (const TokenId id : bytes("a\xf0\x9f\x98\x80")) got.push_back(s.push(id));
  EXPECT_EQ(got, (std::vector<std::string>{"a", "", "", "", "\xf0\x9f\x98\x80"}));
}

TEST_F(ByBytes, WrongBytesBecomeReplacements) {
  TextStream s(*t_, {});
  EXPECT_EQ(stream_all(s, bytes("\xf0\x9f\x61\xff\xe4\xbd")), "\xef\xbf\xbd\x61\xef\xbf\xbd\xef\xbf\xbd");
}

TEST_F(ByBytes, StopsAndHoldsBack) {
  TextStream s(*t_, {"END", "\n\n"});
  std::string out;
  for (const TokenId id : bytes("xE")) out += s.push(id);
  EXPECT_EQ(out, "x");
  for (const TokenId id : bytes("NxEENDzzz")) out += s.push(id);
  EXPECT_EQ(out, "xENxE");
  EXPECT_TRUE(s.stopped());
  EXPECT_EQ(s.stop(), "END");
  EXPECT_EQ(s.push(bytes("a")[0]), "");
  EXPECT_EQ(s.flush(), "");
}

TEST_F(ByBytes, StopsCountAfterMinTokens) {
  TextStream s(*t_, {"ab"}, false, 4);
  EXPECT_EQ(stream_all(s, bytes("abxab")), "abxab") << "begins before and is complete after";
  TextStream later(*t_, {"ab"}, false, 4);
  EXPECT_EQ(stream_all(later, bytes("abxxab")), "abxx");
  EXPECT_EQ(later.stop(), "ab");
}

TEST_F(ByBytes, UnfinishedStopComesOutAtTheEnd) {
  TextStream s(*t_, {"END"});
  EXPECT_EQ(stream_all(s, bytes("aEN")), "aEN");
  EXPECT_FALSE(s.stopped());
}

TEST_F(ByBytes, TheStopThatIsCompleteFirstWinsAndOfThoseTheLongest) {
  TextStream first(*t_, {"abcd", "bc"});
  EXPECT_EQ(stream_all(first, bytes("xabcd")), "xa");
  EXPECT_EQ(first.stop(), "bc");
  TextStream longest(*t_, {"c", "bc"});
  EXPECT_EQ(stream_all(longest, bytes("abc")), "a");
  EXPECT_EQ(longest.stop(), "bc");
}

TEST_F(ByBytes, StopsOverlapWithThemselves) {
  TextStream s(*t_, {"aab"});
  EXPECT_EQ(stream_all(s, bytes("aaaab")), "aa");
  EXPECT_EQ(s.stop(), "aab");
}

TEST_F(ByBytes, EmptyAndBrokenStopsNeverMatch) {
  TextStream s(*t_, {"", "\xa9"});
  EXPECT_EQ(stream_all(s, bytes("a\xc3\xa9")), "a\xc3\xa9");
}

TEST(TextStream, LeavesSpecialTokensOutUnlessAskedFor) {
  const auto t = test_tokenizer("byte_llama3.json");
  const std::vector<TokenId> ids = t->encode("a<|eot_id|>b");
  TextStream plain(*t, {}), shown(*t, {}, true);
  EXPECT_EQ(stream_all(plain, ids), "ab");
  EXPECT_EQ(stream_all(shown, ids), "<|begin_of_text|>a<|eot_id|>b");
}

TEST(TextStream, DropsTheLeadingSpaceOnce) {
  const auto t = test_tokenizer("spm_legacy.json");
  for (const char* text : {"Hello world", " Hello", "", "  "}) {
    TextStream s(*t, {});
    EXPECT_EQ(stream_all(s, t->encode(text)), text);
  }
}

TEST(TextStream, RandomIdsGiveWhatDecodeGives) {
  for (const char* name : {"byte_llama3.json", "byte_qwen.json", "spm_legacy.json"}) {
    const auto t = test_tokenizer(name);
    SplitMix64 random{7};
    for (int round = 0; round < 500; ++round) {
      std::vector<TokenId> ids;
      for (uint64_t n = random() % 30; n > 0; --n) ids.push_back(TokenId(random() % uint64_t(t->vocab_size())));
      for (const bool special : {false, true}) {
        TextStream s(*t, {"no such stop", "xyz"}, special);
        const std::string text = t->decode(ids, special);
        // In a run of byte tokens that is not UTF-8 a stream has given out the characters before the wrong byte.
        if (name == std::string("spm_legacy.json") && text.find("\xef\xbf\xbd") != std::string::npos) continue;
        EXPECT_EQ(stream_all(s, ids), text);
      }
    }
  }
}

// However the text is cut into tokens, the same stop ends it at the same place.
TEST(TextStream, StopsDoNotDependOnTokens) {
  const auto t = test_tokenizer("byte_llama3.json");
  SplitMix64 random{11};
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 40; ++i) text += "ab \n"[random() % 4];
    const std::vector<std::string> stops = {"abab", "ba ", "\n\n\n", "aaa"};
    TextStream whole(*t, stops), single(*t, stops);
    std::vector<TokenId> bytes;
    for (const char c : text) bytes.push_back(*t->find(std::string_view(&c, 1)));
    EXPECT_EQ(stream_all(whole, t->encode(text)), stream_all(single, bytes));
    EXPECT_EQ(whole.stop(), single.stop());
  }
}

// Says how many ids were decoded at once.
class Watched final : public Tokenizer {
 public:
  explicit Watched(const Tokenizer& t) : t_(t) {}
  mutable size_t most = 0;

  std::string decode(const std::vector<TokenId>& ids, bool with_special) const override {
    most = std::max(most, ids.size());
    return t_.decode(ids, with_special);
  }
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override { return t_.encode(text, options); }
  Encoding encode_aligned(std::string_view text, std::optional<std::string_view> second, EncodeOptions options,
                          const Truncation* limit) const override {
    return t_.encode_aligned(text, second, options, limit);
  }
  std::string_view piece(TokenId id) const override { return t_.piece(id); }
  std::string_view first_piece(TokenId id) const override { return t_.first_piece(id); }
  std::string token_text(TokenId id) const override { return t_.token_text(id); }
  bool piecewise() const override { return t_.piecewise(); }
  bool strips_leading_space() const override { return t_.strips_leading_space(); }
  int32_t vocab_size() const override { return t_.vocab_size(); }
  bool is_special(TokenId id) const override { return t_.is_special(id); }
  std::vector<TokenId> added_tokens() const override { return t_.added_tokens(); }
  bool finds_rewritten() const override { return t_.finds_rewritten(); }
  std::optional<TokenId> find(std::string_view text) const override { return t_.find(text); }
  VocabSpec vocab() const override { return t_.vocab(); }
  const std::optional<Truncation>& truncation() const override { return t_.truncation(); }
  const std::optional<Padding>& padding() const override { return t_.padding(); }

 private:
  const Tokenizer& t_;
};

// With each decoder there is: what a token costs does not grow with the text, and no character is cut.
TEST(TextStream, LooksAtFewTokensAndCutsNoCharacter) {
  for (const Json& row : test_json("components.expected.json")) {
    SCOPED_TRACE(row["name"].get<std::string>());
    const auto t = Tokenizer::from_json(row["json"].dump());
    const Watched watched(*t);
    TextStream s(watched, {"no such stop"});
    SplitMix64 random{3};
    size_t wrong = 0;
    for (int i = 0; i < 500; ++i) {
      const std::string out = s.push(TokenId(random() % uint64_t(t->vocab_size())));
      wrong += valid_prefix(out) != out.size();
    }
    const std::string last = s.flush();
    EXPECT_EQ(wrong + (valid_prefix(last) != last.size()), 0u);
    EXPECT_LE(watched.most, 9u);
  }
}

}  // namespace
}  // namespace gale
