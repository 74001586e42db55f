#include "tokenizer/rank_vocab.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "gale/error.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/test_data.h"

namespace gale {
namespace {

using namespace tokenizer_test;

void expect_corrupt(const std::string& part, const std::function<void()>& f) {
  try {
    f();
    ADD_FAILURE() << "no error about " << part;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::corrupt) << e.what();
    EXPECT_THAT(e.what(), testing::HasSubstr(part));
  }
}

// tiktoken's and sentencepiece's own answers, see make_files.py.
TEST(TokenizerFiles, EqualTiktoken) {
  const Json expected = test_json("files.expected.json")["tiktoken"];
  RankVocab vocab = read_tiktoken(expected["file"].get<std::string>());
  vocab.pattern = expected["pattern"];
  vocab.specials.push_back({TokenId(vocab.texts.size()), "<|end|>"});
  const auto t = make_tokenizer(std::move(vocab));
  for (const Json& row : expected["cases"]) {
    EXPECT_EQ(t->encode(row["text"].get<std::string>()), ids_of(row, "ids")) << row["text"];
    EXPECT_EQ(t->decode(ids_of(row, "ids"), true), row["text"].get<std::string>());
  }
}

TEST(TokenizerFiles, TekkenIsTiktokenWithSpecialTokensInFront) {
  const Json expected = test_json("files.expected.json");
  const auto t = make_tokenizer(read_tekken(expected["tekken"]["file"].dump()));
  for (const Json& row : expected["tekken"]["cases"]) {
    EXPECT_EQ(t->encode(row["text"].get<std::string>(), {.add_special = false, .parse_special = false}), ids_of(row, "ids"));
    EXPECT_EQ(t->encode(row["text"].get<std::string>())[0], t->find("<s>"));
  }
}

std::string bytes(const Json& list) {
  std::string out;
  for (const Json& b : list) out += char(b.get<int>());
  return out;
}

TEST(TokenizerFiles, EqualSentencepiece) {
  const Json expected = test_json("files.expected.json");
  for (const char* kind :
       {"unigram", "unigram symbols", "unigram symbols and rules", "unigram suffix", "unigram unknown", "unigram swapped", "bpe",
        "bpe symbols", "bpe symbols and rules", "bpe suffix", "bpe unknown", "bpe swapped", "char", "word"}) {
    SCOPED_TRACE(kind);
    const auto t = Tokenizer::from_vocab(read_sentencepiece(bytes(expected[kind]["file"])));
    const std::vector<TokenId> whole = t->encode("the");
    const bool unigram = std::string_view(kind).starts_with("unigram");
    EXPECT_EQ(unigram ? whole.back() : whole.front(), expected[kind][unigram ? "eos" : "bos"].get<TokenId>());
    for (const Json& row : expected[kind]["cases"]) {
      const std::string text = row["text"];
      SCOPED_TRACE(text);
      EXPECT_EQ(t->encode(text, {.add_special = false, .parse_special = false}), ids_of(row, "ids"));
      const std::string decoded = row["decoded"];  // with U+2047 for unknown characters, which Gale leaves out
      // A U+2581 of a text's own comes back as a space.
      if (decoded.find("\u2047") == std::string::npos && text.find("\u2581") == std::string::npos)
        EXPECT_EQ(t->decode(ids_of(row, "ids")), decoded);
    }
  }
}

TEST(TokenizerFiles, MalformedOnesAreNamed) {
  expect_corrupt("line 2", [] { read_tiktoken("YQ== 0\nYg==\n"); });
  expect_corrupt("line 1", [] { read_tiktoken("Y*== 0\n"); });
  expect_corrupt("no lines", [] { read_tiktoken("\n"); });
  expect_corrupt("tekken.json", [] { read_tekken("[]"); });
  expect_corrupt("/config", [] { read_tekken(R"({"config":{}})"); });
  expect_corrupt("/vocab/0", [] {
    read_tekken(
        R"({"config":{"pattern":"x","default_vocab_size":9,"default_num_special_tokens":1},"vocab":[{"rank":0,"token_bytes":"*"}]})");
  });
  expect_corrupt("at byte", [] { read_sentencepiece("\x0a\x7f"); });
  expect_corrupt("no pieces", [] { read_sentencepiece(""); });
  expect_corrupt("of type 9", [] { read_sentencepiece(std::string("\x0a\x05\x0a\x01x\x18\x09", 7)); });
}

}  // namespace
}  // namespace gale
