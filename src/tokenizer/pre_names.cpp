#include "tokenizer/pre_names.h"

#include <algorithm>
#include <array>

#include "base/fail.h"
#include "tokenizer/bpe_tokenizer.h"

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
// The cased letters of DeepSeek LLM.
constexpr std::string_view kDeepseekLetters =
    R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)";
constexpr std::string_view kDeepseekPunctuation = R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)";
constexpr std::string_view kCjk = R"([一-龥ࠀ-一가-퟿]+)";
constexpr std::string_view kBloom = R"( ?[^(\s|[.,!?…。，、।۔،])]+)";
constexpr std::string_view kPunctuationRun = R"([\p{P}$+<=>^`|~]+)";
constexpr std::string_view kDigit = R"(\p{N})", kDigits = R"(\p{N}+)", kDigits3 = R"(\p{N}{1,3})", kLines = R"([\r\n])";
constexpr std::string_view kLetters = "letters";  // from here on the text is in byte-level letters

struct Row {
  std::string_view names;  // separated by spaces
  bool nfc, ignore_merges;
  std::array<std::string_view, 6> patterns;
};

// Names that share a row are read alike. Where several rows have the same patterns, the first one's first name is written.
constexpr Row kRows[] = {
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 dbrx", false, true, {kLlama3}},
    {"smaug-bpe glm4 chatglm-bpe", false, false, {kLlama3}},
    {"qwen2 megrez hunyuan solar-open", true, false, {kQwen2}},
    {"deepseek-r1-qwen stablelm2 grok-2 kormo", false, false, {kQwen2}},
    {"qwen35", true, false, {kQwen35}},
    {"tekken", false, true, {kTekken}},
    {"gpt-4o llama4 kanana2", false, false, {kGpt4o}},
    {"gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat roberta-bpe jais trillion granite-docling exaone4 mellum "
     "a.x-4.0",
     false,
     false,
     {kGpt2Pattern}},
    {"mpt olmo modern-bert", true, false, {kGpt2Pattern}},
    {"starcoder refact smollm codeshell exaone minerva-7b", false, false, {kDigit, kGpt2Pattern}},
    {"command-r", true, false, {kDigit, kGpt2Pattern}},
    {"deepseek-llm", false, false, {kLines, kDeepseekLetters, kDeepseekPunctuation, R"(\s+$)", kCjk, kDigits}},
    {"deepseek-coder", false, false, {kLines, R"(\s?\p{L}+)", R"(\s?\p{P}+)", kCjk, kDigit}},
    {"deepseek-v3 hunyuan-dense joyai-llm", false, false, {kDigits3, "[一-龥぀-ゟ゠-ヿ]+", kDeepseek3}},
    {"falcon", false, false, {kPunctuationRun, kGpt2Pattern, kLetters, kDigits, "[0-9][0-9][0-9]"}},
    {"default", false, false, {kPunctuationRun, kGpt2Pattern, kDigits, "[0-9][0-9][0-9]"}},
    {"bloom poro-chat gpt3-finnish", false, false, {kBloom}},
    {"viking", false, false, {kBloom, kDigit}},
    {"superbpe", false, false, {kDigits, R"((?=(\d{3})+(?!\d)))"}},
    {"bailingmoe bailingmoe2 llada-moe", false, false, {kBailing}},
    {"seed-coder", true, false, {kSeedCoder}},
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
  for (const std::string_view pattern : row.patterns) {
    if (pattern == kLetters) {
      out.steps.push_back({.kind = PreStep::Kind::byte_letters});
    } else if (!pattern.empty()) {
      out.steps.push_back(split_step(pattern, name));
    }
  }
  return out;
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

PreRecipe byte_bpe_recipe(std::string_view name) {
  for (const Row& row : kRows)
    if (has_name(row.names, name)) return recipe_of(row, name);
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
