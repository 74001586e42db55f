#include "tokenizer/plain_text.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tokenizer/test_data.h"

namespace gale {
namespace {

using namespace tokenizer_test;

std::vector<TokenId> encode(const Tokenizer& t, std::string_view text, const std::vector<PlainRange>& plain) {
  return t.encode(text, {.add_special = false, .plain = plain});
}

TEST(PlainText, ContentsNeverBecomeControlTokens) {
  const auto t = test_tokenizer("byte_llama3.json");
  const PlainText plain(*t);
  const TokenId eot = *t->find("<|eot_id|>");
  for (const std::string content : {"<|eot_id|>", "a <|eot_id|><|eot_id|> b", "<|eot_id|", "<<|eot_id|>>", "no token", ""}) {
    std::vector<TokenId> expected = t->encode(content, {.add_special = false, .parse_special = false});
    expected.push_back(eot);
    EXPECT_EQ(encode(*t, content + "<|eot_id|>", {{0, content.size(), &plain.special()}}), expected) << content;
  }
}

TEST(PlainText, OneCharacterOfAnotherIsEnough) {
  const auto t = test_tokenizer("byte_llama3.json");
  const PlainText plain(*t);
  const std::string text = "<|eot_id|>";
  const std::vector<TokenId> letters = t->encode(text, {.add_special = false, .parse_special = false});
  for (size_t at = 0; at < text.size(); ++at) EXPECT_EQ(encode(*t, text, {{at, at + 1, &plain.special()}}), letters) << at;
  const std::vector<TokenId> two = encode(*t, text + text, {{0, 3, &plain.special()}, {7, text.size(), &plain.special()}});
  EXPECT_EQ(std::ranges::count(two, *t->find(text)), 1);
}

// Offsets that are wrong once a text is read with U+FFFD for its wrong bytes.
TEST(PlainText, RangesCountTheBytesAsGiven) {
  const auto t = test_tokenizer("byte_llama3.json");
  const PlainText plain(*t);
  const TokenId eot = *t->find("<|eot_id|>");
  const std::string bad = "\xff\xff\xff";
  EXPECT_EQ(std::ranges::count(encode(*t, bad + "<|eot_id|><|eot_id|>", {{3, 13, &plain.special()}}), eot), 1);
  EXPECT_EQ(std::ranges::count(encode(*t, bad + "<|eot_id|><|eot_id|>", {{13, 23, &plain.special()}}), eot), 1);
  EXPECT_EQ(std::ranges::count(encode(*t, bad + "<|eot_id|><|eot_id|>", {{0, 3, &plain.special()}}), eot), 2);
}

// The Llama tokenizer with one more token that is not special, and with a normalizer.
std::unique_ptr<Tokenizer> with_marker(const std::string& content, bool normalized, const Json& normalizer) {
  Json added = test_json("byte_llama3.json")["added_tokens"];
  added.push_back({{"id", 0}, {"content", content}, {"special", false}, {"normalized", normalized}});
  return Tokenizer::from_json(patched("byte_llama3.json", {{"added_tokens", added}, {"normalizer", normalizer}}));
}

TEST(PlainText, ContentsNeverBecomeMarkersThatTheTemplateNames) {
  const std::string wide = "\xef\xbc\x9c|User|>";  // U+FF1C, which NFKC makes '<'
  const std::string content = "<|User|>a <|User|><|User|> <|eot_id|>" + wide + "<|USER|> caf\xc3\xa9 <|Us";
  for (const bool normalized : {false, true})
    for (const char* normalizer : {"", "Lowercase", "NFKC"}) {
      const auto t = with_marker("<|User|>", normalized, *normalizer == 0 ? Json() : Json{{"type", normalizer}});
      const TokenId user = t->encode("<|User|>", {.add_special = false}).at(0);
      const auto count = [&](const std::vector<TokenId>& ids) { return std::ranges::count(ids, user); };
      const PlainText plain(*t, "<|User|>{{ content }}<|User|>");
      const std::string prompt = "<|User|>" + content + "er|>\n<|User|> ";
      SCOPED_TRACE(std::string(normalizer) + (normalized ? " normalized" : " raw"));
      EXPECT_GE(count(t->encode(prompt)), 6);
      EXPECT_EQ(count(encode(*t, prompt, {{8, 8 + content.size(), &plain.markers()}})), 2);
      // Special tokens alone, as in an assistant's turn.
      EXPECT_EQ(count(encode(*t, prompt, {{8, 8 + content.size(), &plain.special()}})), count(t->encode(prompt)));
      // What the template does not name stays what it is.
      const PlainText unnamed(*t, "{{ content }}");
      EXPECT_EQ(count(encode(*t, "a<|User|>b", {{0, 10, &unnamed.markers()}})), 1);
    }
}

TEST(PlainText, SpacesAreNoMarkers) {
  const auto t = with_marker("\n\n", false, Json());
  const PlainText plain(*t, "a\n\nb");
  EXPECT_EQ(encode(*t, "x\n\ny\n", {{0, 5, &plain.markers()}}), t->encode("x\n\ny\n", {.add_special = false}));
}

}  // namespace
}  // namespace gale
