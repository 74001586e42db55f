#include "tokenizer/json_components.h"

#include <algorithm>
#include <utility>

#include "tokenizer/json_fields.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

constexpr size_t kMaxGrowth = 256;  // of decoded text

template <class Step>
void check_count(const std::vector<Step>& steps, const char* what) {
  require(steps.size() <= kMaxSteps, ErrorCode::unsupported, "tokenizer.json: more than {} {} in all", kMaxSteps, what);
}

NormalizerStep bert_step(const JsonAt& at) {
  const bool lowercase = at.flag("lowercase", true);
  return {.kind = NormalizerStep::Kind::bert,
          .bert = {.clean_text = at.flag("clean_text", true),
                   .chinese_chars = at.flag("handle_chinese_chars", true),
                   .strip_accents = at.flag("strip_accents", lowercase),
                   .lowercase = lowercase}};
}

NormalizerStep replace_step(const JsonAt& at) {
  NormalizerStep step{.kind = NormalizerStep::Kind::replace, .content = at.at("content").text()};
  step.pattern = json_pattern(at.at("pattern"), step.is_regex);
  if (step.is_regex) step.regex = std::make_shared<const Regex>(step.pattern, at.where());
  return step;
}

NormalizerStep charsmap_step(const JsonAt& at) {
  const JsonAt map = at.at("precompiled_charsmap");
  return {.kind = NormalizerStep::Kind::precompiled,
          .charsmap = std::make_shared<const CharsMap>(CharsMap::from_base64(map.json.is_null() ? "" : map.text(), map.where()))};
}

void add_normalizer(const JsonAt& at, std::vector<NormalizerStep>& steps) {
  using Kind = NormalizerStep::Kind;
  constexpr std::pair<const char*, Kind> kSimple[] = {
      {"NFC", Kind::nfc},
      {"NFD", Kind::nfd},
      {"NFKC", Kind::nfkc},
      {"NFKD", Kind::nfkd},
      {"Lowercase", Kind::lowercase},
      {"StripAccents", Kind::strip_accents},
      {"Nmt", Kind::nmt},
      {"ByteLevel", Kind::byte_letters},
  };
  const std::string type = at.type();
  for (const auto& [name, kind] : kSimple)
    if (type == name) return steps.push_back({.kind = kind});
  if (type == "Strip") {
    steps.push_back({.kind = Kind::strip, .left = at.flag("strip_left", true), .right = at.flag("strip_right", true)});
  } else if (type == "Prepend") {
    steps.push_back({.kind = Kind::prepend, .content = at.at("prepend").text()});
  } else if (type == "Replace") {
    steps.push_back(replace_step(at));
  } else if (type == "BertNormalizer") {
    steps.push_back(bert_step(at));
  } else if (type == "Precompiled") {
    // An empty one, as models without rules of their own have it, changes nothing.
    const JsonAt map = at.at("precompiled_charsmap");
    if (!map.json.is_null() && !map.text().empty()) steps.push_back(charsmap_step(at));
  } else {
    at.unknown(
        "normalizer",
        "NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, Nmt, ByteLevel, BertNormalizer, Precompiled and "
        "Sequence");
  }
}

PreStep::Behavior behavior(const JsonAt& at) {
  const std::string name = at.text();
  if (name == "Removed") return PreStep::Behavior::removed;
  if (name == "Isolated") return PreStep::Behavior::isolated;
  if (name == "MergedWithPrevious") return PreStep::Behavior::merged_with_previous;
  if (name == "MergedWithNext") return PreStep::Behavior::merged_with_next;
  if (name == "Contiguous") return PreStep::Behavior::contiguous;
  fail(ErrorCode::unsupported,
       "tokenizer.json: {} '{}' is unknown; Gale knows Removed, Isolated, MergedWithPrevious, MergedWithNext and "
       "Contiguous",
       at.pointer, name);
}

PreStep metaspace_step(const JsonAt& at) {
  PreStep step{.kind = PreStep::Kind::metaspace, .pattern = at.at("replacement").text(), .split_marks = at.flag("split", true)};
  require(!step.pattern.empty() && step.pattern.size() <= 4, ErrorCode::corrupt,
          "tokenizer.json: {}/replacement '{}' is not one character", at.pointer, step.pattern);
  const std::string scheme = at.has("prepend_scheme") ? at.at("prepend_scheme").text() : "always";
  require(scheme == "always" || scheme == "first" || scheme == "never", ErrorCode::unsupported,
          "tokenizer.json: {}/prepend_scheme '{}' is none of always, first, never", at.pointer, scheme);
  step.prepend = scheme == "first"   ? PreStep::Prepend::first
                 : scheme == "never" ? PreStep::Prepend::never
                                     : PreStep::Prepend::always;
  if (!at.flag("add_prefix_space", true)) step.prepend = PreStep::Prepend::never;
  return step;
}

PreStep characters_step(PreStep::Class members, PreStep::Behavior kept) {
  return {.kind = PreStep::Kind::characters, .behavior = kept, .members = members};
}

void add_split(const JsonAt& at, std::vector<PreStep>& steps) {
  bool is_regex = false;
  const std::string pattern = json_pattern(at.at("pattern"), is_regex);
  steps.push_back(
      split_step(is_regex ? pattern : Regex::escape(pattern), at.where(), behavior(at.at("behavior")), at.flag("invert", false)));
}

void add_byte_level(const JsonAt& at, std::vector<PreStep>& steps) {
  if (at.flag("add_prefix_space", true)) steps.push_back({.kind = PreStep::Kind::prefix_space});
  if (at.flag("use_regex", true)) steps.push_back(split_step(kGpt2Pattern, at.where()));
  steps.push_back({.kind = PreStep::Kind::byte_letters});
}

void add_pre_steps(const JsonAt& at, std::vector<PreStep>& steps) {
  using Behavior = PreStep::Behavior;
  using Class = PreStep::Class;
  const std::string type = at.type();
  if (type == "ByteLevel") {
    add_byte_level(at, steps);
  } else if (type == "Split") {
    add_split(at, steps);
  } else if (type == "Digits") {
    steps.push_back(
        characters_step(Class::digit, at.flag("individual_digits", false) ? Behavior::isolated : Behavior::contiguous));
  } else if (type == "Punctuation") {
    steps.push_back(characters_step(Class::punctuation, at.has("behavior") ? behavior(at.at("behavior")) : Behavior::isolated));
  } else if (type == "Whitespace") {
    steps.push_back({.kind = PreStep::Kind::words});
  } else if (type == "WhitespaceSplit") {
    steps.push_back(characters_step(Class::space, Behavior::removed));
  } else if (type == "BertPreTokenizer") {
    steps.push_back(characters_step(Class::space, Behavior::removed));
    steps.push_back(characters_step(Class::punctuation, Behavior::isolated));
  } else if (type == "CharDelimiterSplit") {
    const std::string delimiter = at.at("delimiter").text();
    require(!delimiter.empty(), ErrorCode::corrupt, "tokenizer.json: {}/delimiter is empty", at.pointer);
    steps.push_back(split_step(Regex::escape(delimiter), at.where(), Behavior::removed));
  } else if (type == "UnicodeScripts") {
    steps.push_back({.kind = PreStep::Kind::scripts});
  } else if (type == "FixedLength") {
    steps.push_back(
        {.kind = PreStep::Kind::fixed_length, .length = at.has("length") ? at.at("length").count(1, int64_t(1) << 30) : 5});
  } else if (type == "Metaspace") {
    steps.push_back(metaspace_step(at));
  } else {
    at.unknown("pre-tokenizer",
               "ByteLevel, Split, Digits, Punctuation, Whitespace, WhitespaceSplit, BertPreTokenizer, CharDelimiterSplit, "
               "UnicodeScripts, FixedLength, Metaspace and Sequence");
  }
}

void add_decoder_step(const JsonAt& at, std::vector<DecoderStep>& steps) {
  using Kind = DecoderStep::Kind;
  constexpr int64_t kMost = int64_t(1) << 30;
  const std::string type = at.type();
  if (type == "ByteLevel") {
    steps.push_back({.kind = Kind::byte_level});
  } else if (type == "ByteFallback") {
    steps.push_back({.kind = Kind::byte_fallback});
  } else if (type == "Fuse") {
    steps.push_back({.kind = Kind::fuse});
  } else if (type == "Replace") {
    bool is_regex = false;
    DecoderStep step{
        .kind = Kind::replace, .pattern = json_pattern(at.at("pattern"), is_regex), .content = at.at("content").text()};
    if (is_regex) step.regex = std::make_shared<const Regex>(step.pattern, at.where());
    steps.push_back(std::move(step));
  } else if (type == "Metaspace") {
    const PreStep mark = metaspace_step(at);
    steps.push_back({.kind = Kind::metaspace, .pattern = mark.pattern, .drops_first = mark.prepend != PreStep::Prepend::never});
  } else if (type == "Strip") {
    DecoderStep step{.kind = Kind::strip, .pattern = at.at("content").text()};
    require(!step.pattern.empty() && utf8_at(step.pattern, 0).length == step.pattern.size(), ErrorCode::corrupt,
            "tokenizer.json: {}/content '{}' is not one character", at.pointer, step.pattern);
    step.start = at.at("start").count(0, kMost);
    step.stop = at.at("stop").count(0, kMost);
    steps.push_back(std::move(step));
  } else if (type == "WordPiece") {
    steps.push_back({.kind = Kind::wordpiece, .pattern = at.text("prefix", "##"), .cleanup = at.flag("cleanup", true)});
  } else if (type == "BPEDecoder") {
    steps.push_back({.kind = Kind::bpe, .pattern = at.text("suffix", "</w>")});
  } else if (type == "CTC") {
    steps.push_back({.kind = Kind::ctc,
                     .pattern = at.text("pad_token", "<pad>"),
                     .content = at.text("word_delimiter_token", "|"),
                     .cleanup = at.flag("cleanup", true)});
  } else {
    at.unknown("decoder", "ByteLevel, ByteFallback, Fuse, Replace, Metaspace, Strip, WordPiece, BPEDecoder, CTC and Sequence");
  }
}

// Decoding cannot fail, so what could make a text grow without measure is refused here: how many times as long a step makes it.
size_t growth(const DecoderStep& step) {
  if (step.kind != DecoderStep::Kind::replace) return 1;
  if (step.regex) return 1 + step.content.size();  // an empty match in front of every byte
  return std::max<size_t>(1, (step.content.size() + step.pattern.size() - 1) / step.pattern.size());
}

}  // namespace

Normalizer parse_normalizer(const Json& json) {
  std::vector<NormalizerStep> steps;
  for_each_part({json, "/normalizer"}, "normalizers", [&](const JsonAt& at) {
    add_normalizer(at, steps);
    check_count(steps, "normalizers");
  });
  return Normalizer(std::move(steps));
}

PreTokenizer parse_pre_tokenizer(const Json& json, bool bytes) {
  std::vector<PreStep> steps;
  for_each_part({json, "/pre_tokenizer"}, "pretokenizers", [&](const JsonAt& at) {
    add_pre_steps(at, steps);
    check_count(steps, "pre-tokenizers");
  });
  return PreTokenizer(std::move(steps), bytes);
}

Decoder parse_decoder(const Json& json) {
  if (json.is_null()) return {};
  std::vector<DecoderStep> steps;
  for_each_part({json, "/decoder"}, "decoders", [&](const JsonAt& at) {
    add_decoder_step(at, steps);
    check_count(steps, "decoders");
  });
  size_t times = 1;
  for (const DecoderStep& step : steps) {
    times *= std::min<size_t>(growth(step), kMaxGrowth + 1);
    require(times <= kMaxGrowth, ErrorCode::unsupported,
            "tokenizer.json: the Replace steps of /decoder can make a text more than {} times as long; shorten their content",
            kMaxGrowth);
  }
  return Decoder(std::move(steps));
}

std::optional<Truncation> parse_truncation(const Json& json) {
  if (json.is_null()) return std::nullopt;
  const JsonAt at{json, "/truncation"};
  Truncation out;
  if (at.has("max_length")) out.max_length = at.at("max_length").count(0, int64_t(1) << 40);
  const std::string strategy = at.text("strategy", "LongestFirst");
  require(strategy == "LongestFirst" || strategy == "OnlyFirst" || strategy == "OnlySecond", ErrorCode::unsupported,
          "tokenizer.json: /truncation/strategy '{}' is none of LongestFirst, OnlyFirst, OnlySecond", strategy);
  if (strategy == "OnlyFirst") out.strategy = Truncation::Strategy::only_first;
  if (strategy == "OnlySecond") out.strategy = Truncation::Strategy::only_second;
  if (at.has("stride")) out.stride = at.at("stride").count(0, int64_t(1) << 40);
  out.left = at.text("direction", "Right") == "Left";
  return out;
}

std::optional<Padding> parse_padding(const Json& json) {
  if (json.is_null()) return std::nullopt;
  const JsonAt at{json, "/padding"};
  Padding out;
  if (at.has("strategy") && at.at("strategy").has("Fixed")) out.length = at.at("strategy").at("Fixed").count(0, int64_t(1) << 24);
  if (at.has("pad_to_multiple_of")) out.multiple_of = std::max<size_t>(1, at.at("pad_to_multiple_of").count(0, 1 << 20));
  if (at.has("pad_id")) out.id = TokenId(at.at("pad_id").count(0, INT32_MAX));
  if (at.has("pad_type_id")) out.type_id = int32_t(at.at("pad_type_id").count(0, INT32_MAX));
  out.left = at.text("direction", "Right") == "Left";
  return out;
}

}  // namespace gale
