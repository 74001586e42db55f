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
const std::vector<std::string> kBeyondUs = {"(*FAIL)", "(?~ab)", "\\y", "(?W)\\w", "(?<=a+)b"};

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
