#include "tokenizer/token_search.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tokenizer/test_data.h"

namespace gale {
namespace {

std::unique_ptr<Tokenizer> words() {
  return Tokenizer::from_json(
      R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,":":2,"/":3,"//":4,"://":5,"ab":6,"a:":7,"<end>":8},"merges":[]},)"
      R"("added_tokens":[{"id":8,"content":"<end>","special":true}],"decoder":{"type":"Fuse"}})");
}

TEST(TokenSearch, FindsEveryTokenThatHoldsTheText) {
  const auto t = words();
  EXPECT_EQ(tokens_containing(*t, ":"), (std::vector<TokenId>{2, 5, 7}));
  EXPECT_EQ(tokens_containing(*t, "//"), (std::vector<TokenId>{4, 5}));
  EXPECT_TRUE(tokens_containing(*t, "").empty());
  EXPECT_TRUE(tokens_containing(*t, "<end>").empty());
}

TEST(TokenSearch, FindsWhereATextCanBegin) {
  const auto t = words();
  EXPECT_EQ(tokens_beginning(*t, "://"), (std::vector<TokenOverlap>{{2, 1}, {7, 1}}));
  EXPECT_EQ(tokens_beginning(*t, "//"), (std::vector<TokenOverlap>{{3, 1}, {4, 1}, {5, 1}}));
  EXPECT_TRUE(tokens_beginning(*t, "a").empty());
}

// All ways to write a text, by walking on.
void spell(const Tokenizer& t, std::string_view text, std::vector<TokenId>& path, std::vector<std::vector<TokenId>>& out) {
  if (text.empty()) return out.push_back(path);
  for (const TokenOverlap& next : tokens_continuing(t, text)) {
    if (t.piece(next.id).size() > text.size()) continue;
    path.push_back(next.id);
    spell(t, text.substr(next.bytes), path, out);
    path.pop_back();
  }
}

TEST(TokenSearch, WalksEveryEncoding) {
  std::vector<std::vector<TokenId>> all;
  std::vector<TokenId> path;
  spell(*words(), "a://", path, all);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, (std::vector<std::vector<TokenId>>{{0, 2, 3, 3}, {0, 2, 4}, {0, 5}, {7, 3, 3}, {7, 4}}));
}

TEST(TokenSearch, HealsPromptsThatEndInsideATokenOnly) {
  const auto t = words();
  const Healed colon = heal(*t, {6, 2});
  EXPECT_EQ(colon.ids, std::vector<TokenId>{6});
  EXPECT_EQ(colon.text, ":");
  const Healed two = heal(*t, {1, 2, 3});  // ":/" can become "://"
  EXPECT_EQ(two.ids, std::vector<TokenId>{1});
  EXPECT_EQ(two.text, ":/");
  EXPECT_EQ(heal(*t, {0, 5}).ids, (std::vector<TokenId>{0, 5}));
  EXPECT_EQ(heal(*t, {2, 8}).ids, (std::vector<TokenId>{2, 8}));
  EXPECT_TRUE(heal(*t, {}).ids.empty());
}

}  // namespace
}  // namespace gale
