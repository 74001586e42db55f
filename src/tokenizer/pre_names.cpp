#include "tokenizer/pre_names.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "base/fail.h"
#include "tokenizer/pipeline.h"

namespace gale {
namespace {

// Patterns as the models' own tokenizer.json files write them.
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepseek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kJais2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})";
constexpr std::string_view kMiniCpm5 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kSpark25 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kYoutuScripts =
    R"([\x{ac00}-\x{d7a3}\x{3131}-\x{318e}]+|[！…“”‘’—：；，、-\x{303f}\x{fe30}-\x{fe4f}]+|[\x{3105}-\x{312f}]+|[\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+)";
constexpr std::string_view kYoutu =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kExaoneMoe =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kUfakzeka = R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kKimi =
    R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Digits in threes from the right.
constexpr std::string_view kDigitsFromRight = R"(\d{1,3}(?=(?:\d{3})*\b))",
                           kAfmoeDigits = R"(\p{Nd}{1,3}(?=(?:\p{Nd}{3})*(?!\p{Nd})))";
constexpr std::string_view kAfmoeScripts =
    R"([\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}\x{f900}-\x{faff}\x{3040}-\x{309f}\x{30a0}-\x{30ff}\x{ff65}-\x{ff9f}\x{2f00}-\x{2fdf}\x{e40}-\x{e7f}\x{e80}-\x{eff}\x{1780}-\x{17ff}\x{1000}-\x{109f}\x{aa60}-\x{aa7f}\x{a9e0}-\x{a9ff}\x{ac00}-\x{d7af}\x{1100}-\x{11ff}]+)";
constexpr std::string_view kParagraphs = R"([^\n]+|[\n]+)";
// The cased letters of DeepSeek LLM.
constexpr std::string_view kDeepseekLetters =
    R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)";
constexpr std::string_view kDeepseekPunctuation = R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)";
constexpr std::string_view kCjk = R"([一-龥ࠀ-一가-퟿]+)";
constexpr std::string_view kBloom = R"( ?[^(\s|[.,!?…。，、।۔،])]+)";
constexpr std::string_view kDigits3 = R"(\p{N}{1,3})", kLines = R"([\r\n])";
// Steps that are no patterns: runs of punctuation, each digit, runs of digits, from here on the text is in byte-level letters.
constexpr std::string_view kPunctuationRun = "punctuation", kDigit = "digit", kDigits = "digits", kLetters = "letters";

struct Row {
  std::string_view names;  // separated by spaces
  bool nfc, ignore_merges;
  std::array<std::string_view, 6> patterns;
};

// Names that share a row are read alike. Where several rows have the same patterns, the first one's first name is written.
constexpr Row kRows[] = {
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx", false, true, {kLlama3}},
    {"smaug-bpe glm4 chatglm-bpe", false, false, {kLlama3}},
    {"qwen2 megrez hunyuan solar-open f2llmv2", true, false, {kQwen2}},
    {"deepseek-r1-qwen stablelm2 grok-2 kormo", false, false, {kQwen2}},
    {"qwen35", true, false, {kQwen35}},
    {"tekken", false, true, {kTekken}},
    {"gpt-4o llama4 kanana2 talkie minimax-m2", false, false, {kGpt4o}},
    {"gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code gigachat roberta-bpe jais trillion "
     "granite-docling exaone4 mellum "
     "a.x-4.0",
     false,
     false,
     {kGpt2Pattern}},
    {"mpt olmo modern-bert", true, false, {kGpt2Pattern}},
    {"starcoder refact smollm codeshell exaone minerva-7b mellum2", false, false, {kDigit, kGpt2Pattern}},
    {"command-r", true, false, {kDigit, kGpt2Pattern}},
    {"deepseek-llm", false, false, {kLines, kDeepseekLetters, kDeepseekPunctuation, R"(\s+$)", kCjk, kDigits}},
    {"deepseek-coder", false, false, {kLines, R"(\s?\p{L}+)", R"(\s?\p{P}+)", kCjk, kDigit}},
    {"deepseek-v3 hunyuan-dense joyai-llm hy_v4", false, false, {kDigits3, "[一-龥぀-ゟ゠-ヿ]+", kDeepseek3}},
    {"falcon", false, false, {kPunctuationRun, kGpt2Pattern, kLetters, kDigits, "[0-9][0-9][0-9]"}},
    {"default", false, false, {kPunctuationRun, kGpt2Pattern, kDigits, "[0-9][0-9][0-9]"}},
    {"bloom poro-chat gpt3-finnish", false, false, {kBloom}},
    {"viking", false, false, {kBloom, kDigit}},
    {"superbpe", false, false, {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}},
    {"bailingmoe bailingmoe2 llada-moe", false, false, {kBailing}},
    {"seed-coder", true, false, {kSeedCoder}},
    {"jais-2", false, false, {kJais2}},
    {"minicpm5", false, true, {kDigits3, kMiniCpm5}},
    {"spark2_5", false, false, {kDigits3, "[一-龥぀-ゟ゠-ヿ]+", kSpark25, R"(\p{N})"}},
    {"youtu", false, true, {kYoutuScripts, kYoutu}},
    {"exaone-moe", false, false, {kExaoneMoe}},
    {"ufakzeka", false, false, {kUfakzeka}},
    {"kimi-k2", false, false, {kKimi}},
    {"granite-embed-multi-97m", false, true, {kGpt4o}},
    {"tiny_aya cohere2moe", false, false, {kDigitsFromRight, kGpt4o}},
    {"afmoe", false, false, {kAfmoeDigits, kAfmoeScripts, kDeepseek3}},
    {"laguna", false, false, {kParagraphs, kQwen2}},
    {"chameleon",
     false,
     false,
     {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", R"([\t\n]|    |  )", kDigit, R"([\p{P}!-/:-@\[-`{-~])",
      kGpt2Pattern}},
};

bool has_name(std::string_view names, std::string_view name) {
  while (!names.empty()) {
    const size_t space = std::min(names.find(' '), names.size());
    if (names.substr(0, space) == name) return true;
    names.remove_prefix(std::min(space + 1, names.size()));
  }
  return false;
}

PreRecipe recipe_of(const Row& row, std::string_view name) {
  PreRecipe out;
  if (row.nfc) out.normalizer.push_back({.kind = NormalizerStep::Kind::nfc});
  out.ignore_merges = row.ignore_merges;
  using Behavior = PreStep::Behavior;
  using Class = PreStep::Class;
  constexpr auto kCharacters = PreStep::Kind::characters;
  for (const std::string_view pattern : row.patterns) {
    if (pattern == kLetters)
      out.steps.push_back({.kind = PreStep::Kind::byte_letters});
    else if (pattern == kDigit)
      out.steps.push_back({.kind = kCharacters, .behavior = Behavior::isolated, .members = Class::digit});
    else if (pattern == kDigits)
      out.steps.push_back({.kind = kCharacters, .behavior = Behavior::contiguous, .members = Class::digit});
    else if (pattern == kPunctuationRun)
      out.steps.push_back({.kind = kCharacters, .behavior = Behavior::contiguous, .members = Class::punctuation});
    else if (!pattern.empty())
      out.steps.push_back(split_step(pattern, name));
  }
  return out;
}

const Row* row_named(std::string_view name) {
  const Row* found = std::ranges::find_if(kRows, [&](const Row& row) { return has_name(row.names, name); });
  return found == std::end(kRows) ? nullptr : found;
}

// The names Gale gives to Metaspace pre-tokenizers, which GGUF cannot tell apart.
struct MetaspaceRow {
  std::string_view name;
  PreStep::Prepend prepend;
  bool split;
};
constexpr MetaspaceRow kMetaspace[] = {
    {"metaspace-always", PreStep::Prepend::always, false},    {"metaspace-first", PreStep::Prepend::first, false},
    {"metaspace-never", PreStep::Prepend::never, false},      {"metaspace-always-split", PreStep::Prepend::always, true},
    {"metaspace-first-split", PreStep::Prepend::first, true}, {"metaspace-never-split", PreStep::Prepend::never, true},
};

bool same(const PreRecipe& recipe, const Normalizer& normalizer, const PreTokenizer& pre) {
  return recipe.normalizer == normalizer.steps() && recipe.steps == pre.steps();
}

}  // namespace

bool knows_byte_bpe(std::string_view name) { return row_named(name) != nullptr; }

std::string_view word_pattern(std::string_view name) {
  const Row* row = row_named(name);
  assert(row != nullptr && row->patterns[1].empty());
  return row->patterns[0];
}

PreRecipe byte_bpe_recipe(std::string_view name) {
  if (const Row* row = row_named(name)) return recipe_of(*row, name);
  std::string known;
  for (const Row& row : kRows) known.append(known.empty() ? "" : " ").append(row.names);
  fail(ErrorCode::unsupported,
       "tokenizer.ggml.pre '{}' is unknown; Gale knows {}. A tokenizer.json beside the file is read instead", name, known);
}

PreRecipe sentencepiece_recipe(std::string_view name, bool add_space_prefix) {
  PreRecipe out;
  for (const MetaspaceRow& row : kMetaspace) {
    if (row.name != name) continue;
    out.steps.push_back(
        {.kind = PreStep::Kind::metaspace, .pattern = std::string(kWordMark), .prepend = row.prepend, .split_marks = row.split});
    out.drops_leading_space = row.prepend != PreStep::Prepend::never;
    return out;
  }
  if (add_space_prefix) out.normalizer.push_back({.kind = NormalizerStep::Kind::prepend, .content = std::string(kWordMark)});
  out.normalizer.push_back({.kind = NormalizerStep::Kind::replace, .pattern = " ", .content = std::string(kWordMark)});
  out.drops_leading_space = add_space_prefix;
  return out;
}

std::optional<std::string> byte_bpe_name(const Normalizer& normalizer, const PreTokenizer& pre, bool ignore_merges) {
  for (const Row& row : kRows) {
    if (row.ignore_merges == ignore_merges && same(recipe_of(row, row.names), normalizer, pre))
      return std::string(row.names.substr(0, row.names.find(' ')));
  }
  return std::nullopt;
}

std::optional<std::string> sentencepiece_name(const Normalizer& normalizer, const PreTokenizer& pre, bool& add_space_prefix) {
  for (const bool prefix : {true, false}) {
    add_space_prefix = prefix;
    if (same(sentencepiece_recipe("default", prefix), normalizer, pre)) return "default";
  }
  for (const MetaspaceRow& row : kMetaspace) {
    add_space_prefix = row.prepend != PreStep::Prepend::never;
    if (same(sentencepiece_recipe(row.name, true), normalizer, pre)) return std::string(row.name);
  }
  return std::nullopt;
}

}  // namespace gale
