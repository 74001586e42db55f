#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>

#include "gale/error.h"
#include "tokenizer/test_data.h"

namespace gale {
namespace {

using namespace tokenizer_test;

constexpr EncodeOptions kPlain{.add_special = false};
constexpr EncodeOptions kUnparsed{.add_special = false, .parse_special = false};

class KnownAnswers : public testing::TestWithParam<const char*> {};

TEST_P(KnownAnswers, EqualHuggingFace) {
  const std::string name = GetParam();
  const auto t = test_tokenizer(name + ".json");
  const Json cases = test_json(name + ".expected.json");
  ASSERT_GE(cases.size(), 60u);
  for (const Json& row : cases) {
    const std::string text = row["text"];
    SCOPED_TRACE(testing::PrintToString(text));
    const std::vector<TokenId> ids = ids_of(row, "ids");
    EXPECT_EQ(t->encode(text, kPlain), ids);
    EXPECT_EQ(t->decode(ids), row["decoded"].get<std::string>());
    EXPECT_EQ(t->encode(text, kUnparsed), row.contains("unparsed") ? ids_of(row, "unparsed") : ids);
    EXPECT_EQ(t->encode(text), row.contains("with_special") ? ids_of(row, "with_special") : ids);
    if (row.contains("decoded_special")) {
      EXPECT_EQ(t->decode(ids_of(row, "with_special"), true), row["decoded_special"].get<std::string>());
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Files, KnownAnswers, testing::Values("byte_llama3", "byte_qwen", "spm_legacy"));

// The same vocabulary behind every other normalizer, pre-tokenizer, decoder and kind of added token.
class Variants : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(Variants, EqualHuggingFace) {
  const auto [base, file] = GetParam();
  for (const Json& variant : test_json(file)) {
    SCOPED_TRACE(variant["name"].get<std::string>());
    const auto t = Tokenizer::from_json(patched(base, variant["patch"]));
    for (const Json& row : variant["cases"]) {
      SCOPED_TRACE(testing::PrintToString(row["text"].get<std::string>()));
      EXPECT_EQ(t->encode(row["text"].get<std::string>()), ids_of(row, "ids"));
      if (row.contains("decoded")) {
        EXPECT_EQ(t->decode(ids_of(row, "ids")), row["decoded"].get<std::string>());
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Files, Variants,
                         testing::Values(std::pair("byte_llama3.json", "byte_variants.expected.json"),
                                         std::pair("spm_legacy.json", "spm_variants.expected.json")));

TEST(TokenizerJson, LooksUpTokens) {
  const auto t = test_tokenizer("byte_llama3.json");
  const auto eot = t->find("<|eot_id|>");
  ASSERT_TRUE(eot);
  EXPECT_TRUE(t->is_special(*eot));
  EXPECT_EQ(t->piece(*eot), "<|eot_id|>");
  EXPECT_EQ(*eot, t->vocab_size() - 1);
  const auto the = t->find(" the");
  ASSERT_TRUE(the);
  EXPECT_EQ(t->piece(*the), " the");
  EXPECT_FALSE(t->is_special(*the));
  EXPECT_FALSE(t->find("no such token"));
  for (const TokenId id : {-1, t->vocab_size(), INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(t->piece(id), "");
    EXPECT_FALSE(t->is_special(id));
    EXPECT_EQ(t->decode({id, id}), "");
  }
  EXPECT_FALSE(t->strips_leading_space());
  EXPECT_TRUE(test_tokenizer("spm_legacy.json")->strips_leading_space());
}

TEST(TokenizerJson, BytesThatAreNotUtf8AreReplacementCharacters) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\xff", "\xef\xbf\xbd"},
      {"a\xff b", "a\xef\xbf\xbd b"},
      {"\xe4\xbd", "\xef\xbf\xbd"},
      {"\xed\xa0\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx"},
      {std::string("\0\xfe\0", 3), std::string("\0\xef\xbf\xbd\0", 5)},
      {"\xf0\x9f\x98 \xf0\x9f\x98\x80", "\xef\xbf\xbd \xf0\x9f\x98\x80"},
  };
  for (const char* name : {"byte_llama3.json", "byte_qwen.json", "spm_legacy.json"}) {
    SCOPED_TRACE(name);
    const auto t = test_tokenizer(name);
    for (const auto& [text, read] : cases) {
      EXPECT_EQ(t->encode(text, kPlain), t->encode(read, kPlain));
      EXPECT_EQ(t->decode(t->encode(text, kPlain)), read);
    }
  }
}

TEST(TokenizerJson, LongTextsTakeNoQuadraticTime) {  // with quadratic work each of these would run for many minutes
  const size_t n = 1 << 18;
  std::string marks, mixed;
  for (size_t i = 0; i < n / 4; ++i) marks += i % 2 == 0 ? "\u0307" : "\u0323";
  for (size_t i = 0; i < n / 4; ++i) mixed += i % 2 == 0 ? "\xff" : "a";
  for (const char* name : {"byte_llama3.json", "byte_qwen.json", "spm_legacy.json"}) {
    const auto t = test_tokenizer(name);
    const std::vector<std::string> texts = {std::string(n, 'a'),
                                            std::string(n, ' '),
                                            std::string(n, ' ') + "x",
                                            std::string(n, '<'),
                                            std::string(n, '\n'),
                                            std::string(n, '1'),
                                            std::string(n, '\0'),
                                            marks,
                                            mixed};
    for (const std::string& text : texts) {
      const std::vector<TokenId> ids = t->encode(text, kPlain);
      size_t bytes = 0;
      for (const TokenId id : ids) bytes += t->piece(id).size();
      const size_t read = &text == &texts.back() ? 2 * text.size() : text.size();  // U+FFFD has three bytes
      EXPECT_GE(bytes, read);                                                      // sentencepiece adds a space
      EXPECT_LE(bytes, read + 1);
    }
  }
}

void expect_error(ErrorCode code, const std::string& part, const std::function<void()>& f) {
  try {
    f();
    ADD_FAILURE() << "no error about " << part;
  } catch (const Error& e) {
    EXPECT_EQ(error_name(e.code()), std::string(error_name(code))) << e.what();
    EXPECT_THAT(e.what(), testing::HasSubstr(part));
  }
}

TEST(TokenizerJson, RefusesWhatItDoesNotKnowByName) {
  const auto with = [](const char* patch) {
    return [=] { Tokenizer::from_json(patched("byte_llama3.json", Json::parse(patch))); };
  };
  const std::vector<std::pair<std::string, const char*>> unsupported = {
      {"'New' at /normalizer", R"({"normalizer":{"type":"New"}})"},
      {"'New' at /normalizer/normalizers/0", R"({"normalizer":{"type":"Sequence","normalizers":[{"type":"New"}]}})"},
      {"pre-tokenizer 'New'", R"({"pre_tokenizer":{"type":"New"}})"},
      {"'New' at /decoder", R"({"decoder":{"type":"New"}})"},
      {"type is 'New'", R"({"model":{"type":"New","vocab":{"a":0}}})"},
      {"post-processor 'New'", R"({"post_processor":{"type":"New"}})"},
      {"dropout", R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1}})"},
      {"pattern '(a'", R"({"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated"}})"},
  };
  for (const auto& [part, patch] : unsupported) expect_error(ErrorCode::unsupported, part, with(patch));
  const std::vector<std::pair<std::string, const char*>> corrupt = {
      {"/model/merges/0 names 'b'", R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}})"},
      {"/model/merges/0 names 'aa'", R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[["a","a"]]}})"},
      {"/model/merges/0", R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}})"},
      {"/model/merges/0", R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[["a"]]}})"},
      {"/model/vocab", R"({"model":{"type":"BPE","vocab":{},"merges":[]}})"},
      {"/model/vocab", R"({"model":{"type":"BPE","vocab":[],"merges":[]}})"},
      {"'a' in /model/vocab", R"({"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}})"},
      {"'a' in /model/vocab", R"({"model":{"type":"BPE","vocab":{"a":2147483648},"merges":[]}})"},
      {"/added_tokens/0/id", R"({"added_tokens":[{"id":99999999999,"content":"x"}]})"},
      {"/added_tokens/0", R"({"added_tokens":["x"]})"},
      {"/post_processor/special_tokens/x/ids/0 is -1",
       R"({"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}},{"Sequence":{"id":"A"}}],)"
       R"("special_tokens":{"x":{"id":"x","ids":[-1]}}}})"},
      {"/model/vocab/0", R"({"model":{"type":"Unigram","vocab":["a"]}})"},
      {"/model/unk_id", R"({"model":{"type":"Unigram","vocab":[["a",0.0]],"unk_id":1}})"},
      {"/model/max_input_chars_per_word", R"({"model":{"type":"WordPiece","vocab":{"a":0},"max_input_chars_per_word":-1}})"},
      {"/normalizer/precompiled_charsmap", R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":"AQ=="}})"},
      {"/normalizer/precompiled_charsmap", R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":"A*=="}})"},
      {"/pre_tokenizer/delimiter", R"({"pre_tokenizer":{"type":"CharDelimiterSplit","delimiter":""}})"},
      {"/pre_tokenizer/length", R"({"pre_tokenizer":{"type":"FixedLength","length":0}})"},
      {"/decoder/content", R"({"decoder":{"type":"Strip","content":"","start":1,"stop":0}})"},
      {"/decoder/content", R"({"decoder":{"type":"Strip","content":"ab","start":1,"stop":0}})"},
  };
  for (const auto& [part, patch] : corrupt) expect_error(ErrorCode::corrupt, part, with(patch));
  for (const char* text : {"", "{", "[]", "null", "{}", "{\"model\":3}", "{\"model\":{}}", "\xff"})
    EXPECT_THROW(Tokenizer::from_json(text), Error) << text;
}

// As in the reference, which finds out when it needs it.
TEST(TokenizerJson, AnUnknownTokenMayBeMissing) {
  for (const char* model :
       {R"({"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"<x>"})",
        R"({"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"<x>","fuse_unk":true,"byte_fallback":true})",
        R"({"type":"WordPiece","vocab":{"a":0},"unk_token":"<x>"})",
        R"({"type":"WordLevel","vocab":{"a":0},"unk_token":"<x>"})"}) {
    SCOPED_TRACE(model);
    const auto t =
        Tokenizer::from_json(R"({"added_tokens":[{"id":1,"content":"<x>","special":true}],"model":)" + std::string(model) + "}");
    EXPECT_EQ(t->encode("a<x>a"), (std::vector<TokenId>{0, 1, 0}));
    expect_error(ErrorCode::invalid_argument, "no token", [&] { t->encode("b"); });
  }
}

TEST(TokenizerJson, ATemplateMayAskForASecondText) {
  const auto t = Tokenizer::from_json(patched(
      "byte_llama3.json",
      Json::parse(
          R"({"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"B"}}],"pair":[{"Sequence":{"id":"B"}}],)"
          R"("special_tokens":{}}})")));
  expect_error(ErrorCode::invalid_argument, "second text", [&] { t->encode("a"); });
  EXPECT_EQ(t->encode_aligned("a", "b").size(), 1u);
}

TEST(TokenizerJson, SequencesNest) {
  Json deep = {{"type", "Lowercase"}};
  for (int i = 0; i < 60; ++i) deep = {{"type", "Sequence"}, {"normalizers", Json::array({deep})}};
  EXPECT_EQ(Tokenizer::from_json(patched("byte_llama3.json", {{"normalizer", deep}}))->encode("ABC"),
            test_tokenizer("byte_llama3.json")->encode("abc"));
}

TEST(TokenizerJson, OddVocabulariesWork) {
  const auto one = Tokenizer::from_json(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]}})");
  EXPECT_EQ(one->encode("banana").size(), 3u);
  EXPECT_EQ(one->decode({0, 1, -1}), "a");
  const auto twice = Tokenizer::from_json(R"({"model":{"type":"BPE","vocab":{"a":0,"b":0,"a":1},"merges":[]}})");
  EXPECT_EQ(twice->encode("a"), std::vector<TokenId>{1});
  const std::string huge(1 << 20, 'a');
  const auto big = Tokenizer::from_json(R"({"model":{"type":"BPE","vocab":{"a":0,")" + huge + R"(":7},"merges":[]}})");
  EXPECT_EQ(big->vocab_size(), 8);
  EXPECT_EQ(big->first_piece(7), huge);
  EXPECT_EQ(big->piece(3), "");
  EXPECT_EQ(big->encode("aa").size(), 2u);
}

std::unique_ptr<Tokenizer> with_pattern(const char* pattern) {
  const Json split = {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}};
  const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  return Tokenizer::from_json(
      patched("byte_llama3.json", {{"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", Json::array({split, bytes})}}}}));
}

TEST(TokenizerJson, PatternsThatExplodeAreGivenUp) {
  const auto t = with_pattern("(a|aa)+$");
  expect_error(ErrorCode::invalid_argument, "(a|aa)+$", [&] { t->encode(std::string(200, 'a') + "b"); });
  EXPECT_FALSE(t->encode("aaa").empty());
}

TEST(TokenizerJson, PatternsMayNeedMuchStack) {
  const std::string text(1 << 18, 'a');
  EXPECT_EQ(with_pattern("(?:(a)|b)*c?")->encode(text), with_pattern("x")->encode(text));
}

TEST(TokenizerJson, ManyThreadsShareOne) {
  const auto t = test_tokenizer("byte_qwen.json");
  const std::string text = "Hello World, e\u0301 they're 123 gone\n\n<tool_call>";
  const std::vector<TokenId> expected = t->encode(text);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 200; ++k) wrong += t->encode(text) != expected || t->decode(expected).empty();
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(TokenizerJson, ChainedReplacementsStayBounded) {
  Json rules = Json::array();
  for (int i = 0; i < 64; ++i) rules.push_back({{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aaaaaaaa"}});
  const auto t =
      Tokenizer::from_json(patched("byte_llama3.json", {{"normalizer", {{"type", "Sequence"}, {"normalizers", rules}}}}));
  expect_error(ErrorCode::invalid_argument, "normalized text", [&] { t->encode("a"); });
}

}  // namespace
}  // namespace gale
