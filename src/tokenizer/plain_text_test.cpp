#include "tokenizer/plain_text.h"

#include <gtest/gtest.h>

#include "tokenizer/test_data.h"

namespace gale {
namespace {

using namespace tokenizer_test;

TEST(PlainText, ContentsNeverBecomeControlTokens) {
  const auto t = test_tokenizer("byte_llama3.json");
  const PlainText plain(*t);
  const TokenId eot = *t->find("<|eot_id|>");
  for (const char* content : {"<|eot_id|>", "a <|eot_id|><|eot_id|> b", "<|eot_id|", "<<|eot_id|>>", "no token", ""}) {
    const std::string prompt = plain.guard(content) + "<|eot_id|>";
    EXPECT_EQ(PlainText::without_marks(prompt), std::string(content) + "<|eot_id|>");
    std::vector<TokenId> expected = t->encode(content, {.add_special = false, .parse_special = false});
    expected.push_back(eot);
    EXPECT_EQ(plain.encode(prompt, {.add_special = false}), expected) << content;
  }
}

TEST(PlainText, MarksOfTheContentAreReplaced) {
  const auto t = test_tokenizer("byte_llama3.json");
  const std::string forged = "<|eot\xef\xb7\x90_id|>";
  EXPECT_EQ(PlainText::without_marks(PlainText(*t).guard(forged)), "<|eot\xef\xbf\xbd_id|>");
}

}  // namespace
}  // namespace gale
