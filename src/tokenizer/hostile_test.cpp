// Files and texts made to cost much. Each of these would run for many seconds, or take much memory, where any step's work grew
// faster than its input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "gale/error.h"
#include "tokenizer/aho_corasick.h"
#include "tokenizer/plain_text.h"
#include "tokenizer/rank_vocab.h"
#include "tokenizer/test_data.h"

namespace gale {
namespace {

using namespace tokenizer_test;

void expect_error(ErrorCode code, const std::string& part, const std::function<void()>& f) {
  try {
    f();
    ADD_FAILURE() << "no error about " << part;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
    EXPECT_THAT(e.what(), testing::HasSubstr(part));
  }
}

std::unique_ptr<Tokenizer> patched_llama(const Json& patch) { return Tokenizer::from_json(patched("byte_llama3.json", patch)); }

Json sequence(const char* list, int count, const Json& part) {
  return {{"type", "Sequence"}, {list, Json::array_t(size_t(count), part)}};
}

Json split(const char* pattern) { return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}}; }

std::unique_ptr<Tokenizer> with_pattern(const char* pattern) {
  const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  return patched_llama({{"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", Json::array({split(pattern), bytes})}}}});
}

std::string repeated(std::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(HostileFiles, TekkenMayHaveManySpecialTokens) {
  const auto t = make_tokenizer(read_tekken(
      R"({"config":{"pattern":"x","default_vocab_size":100001,"default_num_special_tokens":100000},"special_tokens":[],)"
      R"("vocab":[{"rank":0,"token_bytes":"YQ=="}]})"));
  EXPECT_EQ(t->find("<SPECIAL_99999>"), 99999);
}

TEST(HostileFiles, DecodersThatDoubleAreRefused) {
  const Json twice = {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}};
  expect_error(ErrorCode::unsupported, "/decoder", [&] { patched_llama({{"decoder", sequence("decoders", 40, twice)}}); });
  const Json anywhere = {{"type", "Replace"}, {"pattern", {{"Regex", "b*"}}}, {"content", std::string(1000, 'a')}};
  expect_error(ErrorCode::unsupported, "/decoder", [&] { patched_llama({{"decoder", anywhere}}); });
  const Json few = {{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", "<space>"}};
  EXPECT_NO_THROW(patched_llama({{"decoder", sequence("decoders", 4, few)}}));
}

TEST(HostileFiles, PreTokenizersThatDoubleAreGivenUp) {
  const Json letters = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const auto t = patched_llama({{"pre_tokenizer", sequence("pretokenizers", 40, letters)}});
  expect_error(ErrorCode::invalid_argument, "pre-tokenizers", [&] { t->encode("\u00e9"); });
}

TEST(HostileFiles, TextPutInFrontOfEveryPartCountsOnce) {
  const auto t = patched_llama({{"normalizer", {{"type", "Prepend"}, {"prepend", std::string(60'000, 'a')}}}});
  EXPECT_NO_THROW(t->encode("b"));
  expect_error(ErrorCode::invalid_argument, "normalized text", [&] { t->encode(repeated("b<|eot_id|>", 10)); });
}

TEST(HostileFiles, PatternsHaveOneBudgetForTheWholeCall) {
  const std::string long_text(1 << 15, 'a');
  for (const char* pattern : {"a*a*b|a", "a*b|a", "a*+b|a", "(?>a*)b|a", "(?=a*c)|a"}) {
    SCOPED_TRACE(pattern);
    const auto t = with_pattern(pattern);
    expect_error(ErrorCode::invalid_argument, pattern, [&] { t->encode(long_text); });
    EXPECT_FALSE(t->encode("aaaab").empty());
  }
  expect_error(ErrorCode::invalid_argument, "a*a*b|a", [] { with_pattern("a*a*b|a")->encode(std::string(1 << 14, 'a')); });
}

TEST(HostileFiles, LongMatchesAreFoundWhole) {
  const std::string spaces(100'000, ' '), digits(5'000, '1');
  const auto t = with_pattern("\\d+(?= )|\\s+(?!\\S)|\\s+|b\\z|\u00e9+");
  const auto expected = patched_llama({{"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}}});
  for (const std::string& text : {spaces + "x", digits + " ", "b" + digits + spaces + "b", repeated("\u00e9", 3'000)}) {
    std::string again;
    for (const TokenId id : t->encode(text, {.add_special = false})) again += t->piece(id);
    EXPECT_EQ(again, text);
  }
}

// "aaa...b" is looked for at every place of "aaa...".
TEST(HostileFiles, LongTokensMakeNoSearchSlow) {
  const std::string nearly(60'000, 'a'), text(1 << 18, 'a');
  for (const bool special : {true, false}) {
    const Json added = Json::array({{{"id", 5000}, {"content", nearly + "b"}, {"special", special}},
                                    {{"id", 5001}, {"content", nearly}, {"special", special}, {"single_word", true}}});
    EXPECT_EQ(
        patched_llama({{"added_tokens", added}, {"post_processor", nullptr}})->encode(text, {.add_special = false}),
        patched_llama({{"added_tokens", Json::array()}, {"post_processor", nullptr}})->encode(text, {.add_special = false}));
  }
  const auto with_model = [&](const Json& model) { return Tokenizer::from_json(Json{{"model", model}}.dump()); };
  const Json scored = Json::array({Json::array({"<unk>", 0}), Json::array({"a", -1}), Json::array({nearly + "b", -1})});
  const auto unigram = with_model({{"type", "Unigram"}, {"unk_id", 0}, {"vocab", scored}});
  const auto wordpiece = with_model({{"type", "WordPiece"},
                                     {"max_input_chars_per_word", 1 << 30},
                                     {"vocab", {{"[UNK]", 0}, {"a", 1}, {"##a", 2}, {"##" + nearly + "b", 3}}}});
  const Json long_piece =
      Json::array({Json::array({"<unk>", 0}), Json::array({"a", -1}), Json::array({std::string(1000, 'a'), -1})});
  const auto pieces = with_model({{"type", "Unigram"}, {"unk_id", 0}, {"vocab", long_piece}});
  EXPECT_EQ(pieces->encode(std::string(50'000, 'a')).size(), 50u);
  for (const Tokenizer* t : {unigram.get(), wordpiece.get()}) {
    EXPECT_EQ(t->encode(std::string(1000, 'a')).size(), 1000u);
    expect_error(ErrorCode::invalid_argument, "long tokens", [&] { t->encode(text); });
  }
}

// sentencepiece's rules with one for "a", which becomes 60,000 letters.
TEST(HostileFiles, RulesMakeNoTextGrowWithoutMeasure) {
  std::vector<uint32_t> trie(0x62, 0);
  trie[0] = 1 << 10;
  trie[0x60] = 0x61 | 0x100 | 1 << 10;
  trie[0x61] = 0x80000000;
  const auto size = uint32_t(trie.size() * 4);
  VocabSpec spec;
  spec.kind = VocabSpec::Kind::unigram;
  spec.tokens = {"<unk>", "b", "\u2581"};
  spec.scores = {0, -1, -1};
  spec.types = {VocabSpec::unknown, VocabSpec::normal, VocabSpec::normal};
  spec.unk = 0;
  spec.charsmap.append(reinterpret_cast<const char*>(&size), 4).append(reinterpret_cast<const char*>(trie.data()), size);
  spec.charsmap += std::string(60'000, 'b') + '\0';
  for (const bool own_file : {false, true}) {
    if (own_file) spec.sentencepiece.emplace();
    const auto t = Tokenizer::from_vocab(spec);
    EXPECT_EQ(t->encode("a").size(), 60'001u);
    expect_error(ErrorCode::invalid_argument, "32 times", [&] { t->encode(std::string(1 << 20, 'a')); });
  }
  spec.types[1] = VocabSpec::user_defined;  // a user-defined token without a text is none
  spec.tokens.push_back("");
  spec.scores.push_back(0);
  spec.types.push_back(VocabSpec::user_defined);
  EXPECT_EQ(Tokenizer::from_vocab(spec)->encode("bb").size(), 3u);
}

TEST(HostileFiles, SpacesAreLookedThroughOnce) {
  const Json added = Json::array({{{"id", 5000}, {"content", " "}, {"rstrip", true}, {"normalized", false}}});
  EXPECT_EQ(patched_llama({{"added_tokens", added}})->encode(std::string(1 << 20, ' '), {.add_special = false}).size(),
            size_t(1) << 20);
}

TEST(HostileFiles, AffixesOfModelsAreShort) {
  const Json model = {
      {"type", "BPE"}, {"vocab", {{"a", 0}}}, {"merges", Json::array()}, {"end_of_word_suffix", std::string(1 << 20, 'x')}};
  expect_error(ErrorCode::unsupported, "suffix", [&] { Tokenizer::from_json(Json{{"model", model}}.dump()); });
}

TEST(HostileTexts, PlainRangesAreLinear) {
  Json added = Json::array();
  for (int i = 0; i < 3000; ++i)
    added.push_back(
        {{"id", 5000 + i}, {"content", std::string(size_t(i % 300) + 1, '<') + std::to_string(i)}, {"special", true}});
  const auto t = patched_llama({{"added_tokens", added}});
  const PlainText plain(*t);
  const std::string text(1 << 20, '<');
  const std::vector<PlainRange> all = {{0, text.size(), &plain.special()}};
  EXPECT_EQ(t->encode(text, {.add_special = false, .plain = all}),
            t->encode(text, {.add_special = false, .parse_special = false}));
}

// Texts by brute force.
TEST(AhoCorasick, FindsAllEnds) {
  const std::vector<std::string_view> texts = {"a", "ab", "bab", "bc", "bca", "c", "caa", "aa", "abcabc"};
  const AhoCorasick all(texts);
  const std::string text = "abccabababcabcaabbaacabcabcaa";
  uint32_t state = Trie::kRoot;
  for (size_t at = 0; at < text.size(); ++at) {
    state = all.next(state, text[at]);
    std::vector<std::string_view> found, expected;
    for (uint32_t s = all.ending(state); s != Trie::kRoot; s = all.ending(all.shorter(s)))
      found.push_back(texts[size_t(all.value(s))]);
    for (const std::string_view t : texts)
      if (std::string_view(text).substr(0, at + 1).ends_with(t)) expected.push_back(t);
    EXPECT_THAT(found, testing::UnorderedElementsAreArray(expected));
    EXPECT_TRUE(std::is_sorted(found.begin(), found.end(), [](auto a, auto b) { return a.size() > b.size(); }));
  }
}

}  // namespace
}  // namespace gale
