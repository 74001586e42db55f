#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <variant>

#include "base/rng.h"
#include "gale/error.h"
#include "tokenizer/test_data.h"

namespace gale {
namespace {

using namespace tokenizer_test;

constexpr EncodeOptions kPlain{.add_special = false};

VocabSpec tiny_bytes() {
  VocabSpec s;
  s.pre = "gpt-2";
  s.tokens = {"a", "b", "\u0120", "ab", "<|end|>"};
  s.types = {1, 1, 1, 1, 3};
  s.merges = {"a b"};
  s.bos = 4;
  return s;
}

VocabSpec tiny_scores() {
  VocabSpec s;
  s.kind = VocabSpec::Kind::sentencepiece_bpe;
  s.tokens = {"<unk>", "<s>", "\u2581", "a", "b", "\u2581a", "ab"};
  s.types = {2, 3, 1, 1, 1, 1, 1};
  s.scores = {0, 0, -3, -4, -5, -2, -1};
  s.unk = 0;
  s.bos = 1;
  return s;
}

void expect_corrupt(VocabSpec spec, const std::string& part) {
  try {
    Tokenizer::from_vocab(std::move(spec));
    ADD_FAILURE() << "no error about " << part;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::corrupt) << e.what();
    EXPECT_THAT(e.what(), testing::HasSubstr(part));
  }
}

TEST(GgufVocab, SmallOnesEncode) {
  const auto bytes = Tokenizer::from_vocab(tiny_bytes());
  EXPECT_EQ(bytes->encode("ab ba<|end|>"), (std::vector<TokenId>{3, 2, 1, 0, 4}));
  EXPECT_EQ(bytes->decode({3, 2, 4}), "ab ");
  const auto scores = Tokenizer::from_vocab(tiny_scores());
  EXPECT_EQ(scores->encode("ab"), (std::vector<TokenId>{2, 6}));       // "ab" scores above "_a"
  EXPECT_EQ(scores->encode("a??b"), (std::vector<TokenId>{5, 0, 4}));  // unknown characters become one token
  EXPECT_EQ(scores->decode({2, 6, 2}), "ab ");
}

TEST(GgufVocab, ControlTokensAreTextUnlessParsed) {
  VocabSpec spec = tiny_bytes();
  spec.tokens[4] = "ba";
  spec.types[3] = VocabSpec::user_defined;
  const auto t = Tokenizer::from_vocab(spec);
  EXPECT_EQ(t->encode("bab", {.parse_special = true}), (std::vector<TokenId>{4, 1}));
  EXPECT_EQ(t->encode("bab", {.parse_special = false}), (std::vector<TokenId>{1, 3}));
}

TEST(GgufVocab, RefusesListsThatDisagree) {
  VocabSpec s = tiny_bytes();
  s.tokens.clear();
  expect_corrupt(s, "tokens is empty");
  s = tiny_bytes();
  s.types.pop_back();
  expect_corrupt(s, "token_type has 4 entries");
  s = tiny_bytes();
  s.types[2] = 7;
  expect_corrupt(s, "token_type[2] is 7");
  s = tiny_scores();
  s.scores.pop_back();
  expect_corrupt(s, "scores has 6 entries");
  for (const char* merge : {"", " ", "a", "a ", "ab", " a", "a c", "b a"}) {
    s = tiny_bytes();
    s.merges = {merge};
    expect_corrupt(s, "merges[0]");
  }
  s = tiny_bytes();
  s.bos = std::nullopt;
  s.add_bos = true;
  expect_corrupt(s, "no bos_token_id");
}

TEST(GgufVocab, RefusesSpecialIdsOutOfRange) {
  for (const TokenId id : {-1, 1, 5, INT32_MAX, INT32_MIN}) {
    VocabSpec s;
    s.pre = "gpt-2";
    s.tokens = {"a"};
    for (auto field : {&VocabSpec::bos, &VocabSpec::eos, &VocabSpec::unk, &VocabSpec::pad}) {
      VocabSpec one = s;
      one.*field = id;
      expect_corrupt(one, "there are 1 tokens");
    }
  }
}

TEST(GgufVocab, OddVocabulariesWork) {
  for (const auto kind : {VocabSpec::Kind::byte_bpe, VocabSpec::Kind::sentencepiece_bpe}) {
    VocabSpec s;
    s.kind = kind;
    s.tokens = {""};
    s.scores = {std::numeric_limits<float>::quiet_NaN()};
    const auto empty = Tokenizer::from_vocab(s);
    EXPECT_TRUE(empty->encode("text", kPlain).empty());
    EXPECT_EQ(empty->decode({0, 0}), "");
    s.tokens = {"a", "a", "\xff\xfe", "aa", "aa"};
    s.scores = {0, 0, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 1};
    const auto twice = Tokenizer::from_vocab(s);
    EXPECT_FALSE(twice->encode("aa a", kPlain).empty());
    EXPECT_EQ(twice->piece(2), "\xff\xfe");
  }
}

TEST(GgufVocab, HugeTokensAreAnErrorOrWork) {
  VocabSpec s = tiny_bytes();
  s.tokens.push_back(std::string(1 << 22, 'a'));
  s.types.push_back(VocabSpec::normal);
  EXPECT_EQ(Tokenizer::from_vocab(s)->piece(5).size(), size_t(1) << 22);
  s.types.back() = VocabSpec::control;  // looked for in text
  EXPECT_THROW(Tokenizer::from_vocab(s), Error);
  s = tiny_scores();
  s.tokens[6] = std::string(1 << 22, 'a');
  EXPECT_THROW(Tokenizer::from_vocab(s), Error);
}

TEST(GgufVocab, UnknownNamesAreReadAsTheDefault) {
  VocabSpec s = tiny_bytes();
  s.pre = "no-such-name";
  const auto t = Tokenizer::from_vocab(s);
  s.pre = "default";
  EXPECT_EQ(t->encode("ab ba"), Tokenizer::from_vocab(s)->encode("ab ba"));
}

TEST(GgufVocab, AllNamesCompile) {
  for (const char* name : {"llama-bpe",      "llama3",      "qwen2",
                           "gpt-2",          "default",     "deepseek-llm",
                           "deepseek-coder", "deepseek-v3", "falcon",
                           "starcoder",      "refact",      "tekken",
                           "smollm",         "mpt",         "olmo",
                           "command-r",      "bloom",       "viking",
                           "superbpe",       "bailingmoe",  "seed-coder",
                           "gpt-4o",         "qwen35",      "stablelm2",
                           "smaug-bpe",      "glm4",        "exaone",
                           "jais-2",         "minicpm5",    "spark2_5",
                           "youtu",          "exaone-moe",  "ufakzeka",
                           "kimi-k2",        "afmoe",       "laguna",
                           "chameleon",      "tiny_aya",    "granite-embed-multi-97m"}) {
    VocabSpec s = tiny_bytes();
    s.pre = name;
    const auto t = Tokenizer::from_vocab(s);
    EXPECT_EQ(t->decode(t->encode("ab a  abb\u00e9")).substr(0, 3), "ab ") << name;
    EXPECT_EQ(t->vocab().pre, name);
  }
}

std::string random_text(SplitMix64& random) {
  static const std::vector<std::string> parts = {
      "the",     " wind",        "a",          " ",           "  ",   "\n",        "\r\n", "1",  "234", "\u00e9",
      "e\u0301", "\u5927\u98ce", "\U0001F600", "<|eot_id|>",  "<s>",  "</s>",      "\xff", "'s", "!!",  "\u2581",
      "Hello",   "\t",           "tokenizer",  "<tool_call>", "----", "aaaaaaaaaa"};
  std::string out;
  for (uint64_t n = random() % 25; n > 0; --n) out += parts[random() % parts.size()];
  return out;
}

void expect_same_encoding(const Tokenizer& a, const Tokenizer& b) {
  ASSERT_EQ(a.vocab_size(), b.vocab_size());
  SplitMix64 random{3};
  for (int round = 0; round < 2000; ++round) {
    const std::string text = random_text(random);
    for (const bool special : {true, false}) {
      const EncodeOptions options{special, special};
      const std::vector<TokenId> ids = a.encode(text, options);
      ASSERT_EQ(ids, b.encode(text, options)) << testing::PrintToString(text);
      ASSERT_EQ(a.decode(ids, special), b.decode(ids, special)) << testing::PrintToString(text);
    }
  }
}

class RoundTrip : public testing::TestWithParam<std::tuple<const char*, const char*, const char*>> {};

TEST_P(RoundTrip, VocabOfAFileEncodesTheSame) {
  const auto [file, patch, pre] = GetParam();
  const auto t = Tokenizer::from_json(patched(file, Json::parse(patch)));
  const VocabSpec spec = t->vocab();
  EXPECT_EQ(spec.pre, pre);
  const auto again = Tokenizer::from_vocab(spec);
  expect_same_encoding(*t, *again);
  expect_same_encoding(*t, *Tokenizer::from_vocab(again->vocab()));
}
INSTANTIATE_TEST_SUITE_P(
    Files, RoundTrip,
    testing::Values(
        std::tuple("byte_llama3.json", "{}", "llama-bpe"), std::tuple("byte_qwen.json", "{}", "qwen2"),
        std::tuple("byte_qwen.json", R"({"normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false}})",
                   "gpt-2"),
        std::tuple(
            "byte_qwen.json",
            R"({"normalizer":null,"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},)"
            R"({"type":"ByteLevel","add_prefix_space":false}]}})",
            "starcoder"),
        std::tuple("spm_legacy.json", "{}", "default"),
        std::tuple(
            "spm_legacy.json",
            R"({"normalizer":null,"pre_tokenizer":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"first","split":false}})",
            "metaspace-first"),
        std::tuple(
            "spm_legacy.json",
            R"({"normalizer":null,"pre_tokenizer":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always","split":true}})",
            "metaspace-always-split")));

TEST(GgufVocab, SpecOfASpecIsTheSame) {
  for (const VocabSpec& spec : {tiny_bytes(), tiny_scores()}) {
    const VocabSpec again = Tokenizer::from_vocab(spec)->vocab();
    EXPECT_EQ(again.tokens, spec.tokens);
    EXPECT_EQ(again.types, spec.types);
    EXPECT_EQ(again.merges, spec.merges);
    EXPECT_EQ(again.scores, spec.scores);
    EXPECT_EQ(again.bos, spec.bos);
    EXPECT_EQ(again.unk, spec.unk);
    EXPECT_EQ(again.add_bos, spec.add_bos);
  }
}

TEST(GgufVocab, WhatGgufCannotSayIsRefused) {
  const auto refused = [](const char* file, const char* patch) {
    const auto t = Tokenizer::from_json(patched(file, Json::parse(patch)));
    try {
      t->vocab();
      ADD_FAILURE() << patch;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::unsupported);
    }
  };
  refused("byte_llama3.json", R"({"normalizer":{"type":"Lowercase"}})");
  refused("byte_llama3.json",
          R"({"post_processor":null,"added_tokens":[{"id":5000,"content":"[M]","lstrip":true,"special":true}]})");
  refused("spm_legacy.json", R"({"normalizer":{"type":"NFKC"}})");
}

// sentencepiece's own answers for its model, given as scores.
TEST(GgufVocab, ScoresEqualSentencepiece) {
  const Json expected = test_json("spm_scores.expected.json");
  VocabSpec spec = test_tokenizer("spm_legacy.json")->vocab();
  spec.merges.clear();
  spec.scores = expected["scores"].get<std::vector<float>>();
  spec.types = expected["types"].get<std::vector<int32_t>>();
  const auto t = Tokenizer::from_vocab(spec);
  for (const Json& row : expected["cases"])
    EXPECT_EQ(t->encode(row["text"].get<std::string>(), kPlain), ids_of(row, "ids")) << row["text"];
}

// As much of a GGUF file's metadata as the conformance vocabularies need. Trusts its input: test data only.
class MiniGguf {
 public:
  explicit MiniGguf(const std::filesystem::path& path) : in_(path, std::ios::binary) {
    char magic[4];
    in_.read(magic, 4);
    number<uint32_t>();
    number<uint64_t>();
    for (uint64_t n = number<uint64_t>(); n > 0 && in_; --n) {
      const std::string key = text();
      value(key, number<uint32_t>());
    }
  }
  std::map<std::string, double> numbers;
  std::map<std::string, std::vector<double>> lists;
  std::map<std::string, std::vector<std::string>> texts;

 private:
  template <class T>
  T number() {
    T v{};
    in_.read(reinterpret_cast<char*>(&v), sizeof v);
    return v;
  }
  std::string text() {
    std::string s(size_t(number<uint64_t>()), '\0');
    in_.read(s.data(), std::streamsize(s.size()));
    return s;
  }
  double scalar(uint32_t type) {
    switch (type) {
      case 0:
        return number<uint8_t>();
      case 1:
        return number<int8_t>();
      case 2:
        return number<uint16_t>();
      case 3:
        return number<int16_t>();
      case 4:
        return number<uint32_t>();
      case 5:
        return number<int32_t>();
      case 6:
        return number<float>();
      case 7:
        return number<uint8_t>();
      case 12:
        return number<double>();
      default:
        return double(number<uint64_t>());
    }
  }
  void value(const std::string& key, uint32_t type) {
    if (type == 8) {
      texts[key] = {text()};
    } else if (type == 9) {
      const uint32_t item = number<uint32_t>();
      const uint64_t n = number<uint64_t>();
      for (uint64_t i = 0; i < n && in_; ++i) {
        if (item == 8)
          texts[key].push_back(text());
        else
          lists[key].push_back(scalar(item));
      }
    } else {
      numbers[key] = scalar(type);
    }
  }
  std::ifstream in_;
};

VocabSpec spec_of(MiniGguf& file) {
  const std::string p = "tokenizer.ggml.";
  VocabSpec s;
  const std::string model = file.texts.at(p + "model").at(0);
  s.kind = model == "llama"  ? VocabSpec::Kind::sentencepiece_bpe
           : model == "bert" ? VocabSpec::Kind::wordpiece
                             : VocabSpec::Kind::byte_bpe;
  if (file.texts.contains(p + "pre")) s.pre = file.texts.at(p + "pre").at(0);
  s.tokens = file.texts.at(p + "tokens");
  s.merges = file.texts[p + "merges"];
  for (const double x : file.lists[p + "scores"]) s.scores.push_back(float(x));
  for (const double x : file.lists[p + "token_type"]) s.types.push_back(int32_t(x));
  if (s.kind != VocabSpec::Kind::sentencepiece_bpe) s.scores.clear();
  const auto id = [&](const char* key) {
    const auto at = file.numbers.find(p + key);
    return at == file.numbers.end() ? std::optional<TokenId>() : TokenId(at->second);
  };
  s.bos = id("bos_token_id");
  s.eos = id("eos_token_id");
  s.unk = id("unknown_token_id");
  s.add_bos = file.numbers[p + "add_bos_token"] != 0;
  return s;
}

std::filesystem::path conformance_folder() {
  const char* named = std::getenv("GALE_CONFORMANCE_DATA");
  return (named != nullptr ? std::filesystem::path(named) : std::filesystem::path(GALE_SOURCE_DIR) / "../shared/data") /
         "tokenizers";
}

class Conformance : public testing::TestWithParam<const char*> {};

TEST_P(Conformance, EqualsTheVectors) {
  const std::filesystem::path file = conformance_folder() / (std::string("ggml-vocab-") + GetParam() + ".gguf");
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "skipped: no data";
  const bool words = GetParam() == std::string("bert-bge");
  MiniGguf gguf(file);
  const auto t = Tokenizer::from_vocab(spec_of(gguf));
  std::string inputs = read_text(file.string() + ".inp");
  std::istringstream outputs(read_text(file.string() + ".out"));
  const std::string separator = "\n__ggml_vocab_test__\n";
  int cases = 0;
  for (size_t from = 0; from < inputs.size();) {
    const size_t end = std::min(inputs.find(separator, from), inputs.size());
    std::string line;
    if (!std::getline(outputs, line)) break;
    std::istringstream numbers(line);
    const std::vector<TokenId> expected{std::istream_iterator<TokenId>(numbers), {}};
    const std::string text = inputs.substr(from, end - from);
    EXPECT_EQ(t->encode(text, {.add_special = false, .parse_special = false}), expected) << testing::PrintToString(text);
    if (!words) EXPECT_EQ(t->decode(expected), text);
    from = end + separator.size();
    ++cases;
  }
  EXPECT_GE(cases, 40);
  if (!words) expect_same_encoding(*t, *Tokenizer::from_vocab(t->vocab()));
}
INSTANTIATE_TEST_SUITE_P(Vocabularies, Conformance,
                         testing::Values("llama-spm", "gpt-2", "falcon", "deepseek-coder", "refact", "starcoder", "bert-bge"));

}  // namespace
}  // namespace gale
