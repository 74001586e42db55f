// Expressions against the `tokenizers` package, which runs them with Oniguruma.
#include "tokenizer/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fail.h"
#include "tokenizer/test_data.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

using namespace tokenizer_test;

std::vector<size_t> cuts(const Regex& regex, const std::string& text) {
  RegexScratch scratch(text.size());
  std::string buffer;
  std::vector<size_t> out;
  for_each_match(regex, regex.subject(text, buffer), scratch, [&](size_t begin, size_t end, bool) {
    if (end > begin) out.push_back(end);
  });
  return out;
}

// Expressions that PCRE2 cannot run, which are refused and not read otherwise.
const std::vector<std::string> kBeyondUs = {"(*FAIL)", "(?~ab)", "\\y", "(?W)\\w", "(?<=ca+)b", "(?<=\\R)b"};

TEST(Regex, MatchesAsTheReference) {
  const Json all = test_json("patterns.expected.json");
  ASSERT_GE(all["patterns"].size(), 150u);
  const auto texts = all["texts"].get<std::vector<std::string>>();
  for (const auto& [pattern, expected] : all["patterns"].items()) {
    SCOPED_TRACE(pattern);
    std::unique_ptr<Regex> regex;
    try {
      regex = std::make_unique<Regex>(pattern, "here");
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::unsupported);
      EXPECT_TRUE(expected.is_null() || std::ranges::count(kBeyondUs, pattern)) << e.what();
      continue;
    }
    EXPECT_FALSE(expected.is_null()) << "the reference refuses it";
    for (size_t i = 0; i < texts.size() && !expected.is_null(); ++i) {
      EXPECT_EQ(cuts(*regex, texts[i]), expected[i].get<std::vector<size_t>>()) << texts[i];
    }
  }
}

// Numbers in threes are counted out where the pattern is known as a whole; inside of another one they are searched for.
TEST(Regex, ThreesOfDigitsAreCounted) {
  std::vector<std::string> texts = {
      "", "1", "12345", "12345x", "x1234567 12_345-6789", "\u0661\u0662\u0663\u0664 55555\u00e9 5555."};
  for (size_t n = 0; n < 40; ++n) texts.push_back(std::string(n, '7') + " a" + std::string(n, '8') + "b" + std::string(n, '9'));
  for (const char* pattern : {"(?=(\\d{3})+(?!\\d))", "(?=(?:\\d{3})+(?!\\d))", "\\d{1,3}(?=(?:\\d{3})*\\b)",
                              "\\d{1,3}(?=(\\d{3})*\\b)", "\\p{Nd}{1,3}(?=(?:\\p{Nd}{3})*(?!\\p{Nd}))"}) {
    SCOPED_TRACE(pattern);
    const Regex counted(pattern, "here"), searched("(?:" + std::string(pattern) + ")", "here");
    for (const std::string& text : texts) EXPECT_EQ(cuts(counted, text), cuts(searched, text)) << text;
    EXPECT_EQ(cuts(counted, std::string(300'000, '1')).size(), 100'000u) << "linear";
  }
}

// The characters at which any class begins or ends.
TEST(Regex, ClassesHaveTheReferencesMembers) {
  const Json all = test_json("patterns.expected.json");
  const std::string text = all["characters"];
  ASSERT_GE(all["classes"].size(), 130u);
  for (const auto& [pattern, bits] : all["classes"].items()) {
    SCOPED_TRACE(pattern);
    const Regex regex(pattern, "here");
    std::vector<bool> member(text.size(), false);
    RegexScratch scratch(text.size());
    std::string buffer, wrong;
    for_each_match(regex, regex.subject(text, buffer), scratch, [&](size_t begin, size_t, bool match) { member[begin] = match; });
    for (size_t at = 0, i = 0, length; at < text.size(); at += length, ++i) {
      const char32_t code = utf8_next(text, at, length);
      const auto hex = bits.get_ref<const std::string&>();
      const char digit = i / 4 < hex.size() ? hex[hex.size() - 1 - i / 4] : '0';
      const int value = digit <= '9' ? digit - '0' : digit - 'a' + 10;
      if (((value >> (i % 4)) & 1) != int(member[at])) wrong += fmt::format(" {:x}", uint32_t(code));
    }
    EXPECT_EQ(wrong, "");
  }
}

TEST(Regex, SaysWhatItCannotRead) {
  for (const auto& [pattern, part] : std::vector<std::pair<std::string, std::string>>{{"a\\p{Nope}", "property 'Nope'"},
                                                                                      {"\\y", "\\y"},
                                                                                      {"a\\X", "\\X"},
                                                                                      {"(?~a)", "this kind of group"},
                                                                                      {"[[:foo:]]", "[:foo:]"},
                                                                                      {"+a", "nothing to repeat"}}) {
    try {
      Regex(pattern, "tokenizer.json: /here");
      ADD_FAILURE() << pattern;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), testing::HasSubstr(part));
      EXPECT_THAT(e.what(), testing::HasSubstr("/here"));
    }
  }
}

}  // namespace
}  // namespace gale
