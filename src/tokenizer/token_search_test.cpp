#include "tokenizer/token_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <set>

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

// Small vocabularies of random pieces over two letters, where most texts have many encodings.
TEST(TokenSearch, EqualsBruteForce) {
  std::mt19937 random(7);
  for (int round = 0; round < 8; ++round) {
    std::vector<std::string> pieces = {"a", "b"};
    for (int i = 0; i < 10; ++i) {
      std::string piece;
      for (size_t n = 2 + random() % 3; n > 0; --n) piece += random() % 2 ? 'a' : 'b';
      if (std::find(pieces.begin(), pieces.end(), piece) == pieces.end()) pieces.push_back(piece);
    }
    Json vocab = Json::object();
    for (size_t i = 0; i < pieces.size(); ++i) vocab[pieces[i]] = i;
    const auto t = Tokenizer::from_json(
        Json{{"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}, {"decoder", {{"type", "Fuse"}}}}.dump());
    for (const std::string text : {"aba", "ab", "bbab", "aaaa"}) {
      // Every way to lay up to four tokens over the text so that each holds a part of it, the first one its beginning.
      std::set<std::vector<TokenId>> expected, got;
      std::vector<TokenId> path;
      const std::function<void(std::string)> lay = [&](const std::string& covered) {
        for (size_t from = 0; path.empty() ? false : from < pieces[size_t(path[0])].size(); ++from) {
          const bool whole = covered.size() >= from + text.size() && covered.compare(from, text.size(), text) == 0;
          const bool last = whole && covered.size() - pieces[size_t(path.back())].size() < from + text.size();
          if (last) expected.insert(path);
        }
        if (path.size() == 4) return;
        for (size_t id = 0; id < pieces.size(); ++id) {
          path.push_back(TokenId(id));
          lay(covered + pieces[id]);
          path.pop_back();
        }
      };
      lay("");
      const std::function<void(std::string_view)> walk = [&](std::string_view rest) {
        if (rest.empty()) {
          got.insert(path);
          return;
        }
        if (path.size() == 4) return;
        for (const TokenOverlap& next : tokens_continuing(*t, rest)) {
          path.push_back(next.id);
          walk(rest.substr(next.bytes));
          path.pop_back();
        }
      };
      for (const TokenId id : tokens_containing(*t, text)) got.insert({id});
      for (const TokenOverlap& start : tokens_beginning(*t, text)) {
        path = {start.id};
        walk(std::string_view(text).substr(start.bytes));
      }
      path.clear();
      EXPECT_EQ(got, expected) << text;
    }
    // A prompt is taken back exactly as far as some longer token could still stand there.
    for (int i = 0; i < 50; ++i) {
      std::vector<TokenId> ids;
      for (size_t n = 1 + random() % 5; n > 0; --n) ids.push_back(TokenId(random() % pieces.size()));
      const Healed healed = heal(*t, ids);
      size_t back = 0;
      std::string text, longest;
      for (size_t n = 1; n <= std::min<size_t>(ids.size(), 4); ++n) {
        text.insert(0, pieces[size_t(ids[ids.size() - n])]);
        for (const std::string& p : pieces)
          if (p.size() > text.size() && p.starts_with(text)) back = n, longest = text;
      }
      EXPECT_EQ(healed.ids, std::vector<TokenId>(ids.begin(), ids.end() - long(back)));
      EXPECT_EQ(healed.text, longest);
    }
  }
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
