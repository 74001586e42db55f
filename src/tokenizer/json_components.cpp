#include "tokenizer/json_components.h"

#include "tokenizer/json_fields.h"

namespace gale {
namespace {

constexpr int kMaxDepth = 8;
constexpr size_t kMaxSteps = 64;

// Visits the parts of nested Sequences in order. `key`: how this kind of component calls its list.
template <class Visit>
void for_each_part(const JsonAt& at, const std::string& key, Visit visit, int depth = 0) {
  if (at.json.is_null()) return;
  require(depth <= kMaxDepth, ErrorCode::unsupported, "tokenizer.json: {} nests deeper than {} sequences", at.pointer, kMaxDepth);
  if (at.type() != "Sequence") return visit(at);
  const JsonAt parts = at.at(key);
  require(parts.list().size() <= kMaxSteps, ErrorCode::unsupported, "tokenizer.json: {} has {} parts; at most {} are read",
          parts.pointer, parts.json.size(), kMaxSteps);
  for (size_t i = 0; i < parts.json.size(); ++i) for_each_part(parts.at(i), key, visit, depth + 1);
}

template <class Step>
void check_count(const std::vector<Step>& steps, const char* what) {
  require(steps.size() <= kMaxSteps, ErrorCode::unsupported, "tokenizer.json: more than {} {} in all", kMaxSteps, what);
}

NormalizerStep normalizer_step(const JsonAt& at) {
  using Kind = NormalizerStep::Kind;
  const std::string type = at.type();
  if (type == "NFC") return {.kind = Kind::nfc};
  if (type == "NFD") return {.kind = Kind::nfd};
  if (type == "NFKC") return {.kind = Kind::nfkc};
  if (type == "NFKD") return {.kind = Kind::nfkd};
  if (type == "Lowercase") return {.kind = Kind::lowercase};
  if (type == "StripAccents") return {.kind = Kind::strip_accents};
  if (type == "Strip") return {.kind = Kind::strip, .left = at.flag("strip_left", true), .right = at.flag("strip_right", true)};
  if (type == "Prepend") return {.kind = Kind::prepend, .content = at.at("prepend").text()};
  if (type == "Replace") {
    NormalizerStep step{.kind = Kind::replace, .content = at.at("content").text()};
    step.pattern = json_pattern(at.at("pattern"), step.is_regex);
    if (step.is_regex) step.regex = std::make_shared<const Regex>(step.pattern, "tokenizer.json: " + at.pointer);
    return step;
  }
  at.unknown("normalizer", "NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace and Sequence");
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

void add_pre_steps(const JsonAt& at, std::vector<PreStep>& steps) {
  using Behavior = PreStep::Behavior;
  const std::string type = at.type(), where = "tokenizer.json: " + at.pointer;
  if (type == "ByteLevel") {
    if (at.flag("add_prefix_space", true)) steps.push_back({.kind = PreStep::Kind::prefix_space});
    if (at.flag("use_regex", true)) steps.push_back(split_step(kGpt2Pattern, where));
    steps.push_back({.kind = PreStep::Kind::byte_letters});
  } else if (type == "Split") {
    bool is_regex = false;
    const std::string pattern = json_pattern(at.at("pattern"), is_regex);
    steps.push_back(
        split_step(is_regex ? pattern : Regex::escape(pattern), where, behavior(at.at("behavior")), at.flag("invert", false)));
  } else if (type == "Digits") {
    steps.push_back(split_step(at.flag("individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)", where));
  } else if (type == "Punctuation") {
    const Behavior kept = at.has("behavior") ? behavior(at.at("behavior")) : Behavior::isolated;
    // A run of punctuation is one match where runs stay together: the same pieces, and the form GGUF names know.
    const bool run = kept == Behavior::contiguous;
    steps.push_back(split_step(run ? R"([\p{P}$+<=>^`|~]+)" : R"([\p{P}$+<=>^`|~])", where, run ? Behavior::isolated : kept));
  } else if (type == "Whitespace") {
    // The one pattern that the reference runs with Rust's regular expressions, where joiners belong to words.
    steps.push_back(split_step(R"([\w\x{200c}\x{200d}]+|[^\w\s\x{200c}\x{200d}]+)", where, Behavior::removed, true));
  } else if (type == "WhitespaceSplit") {
    steps.push_back(split_step(R"(\s)", where, Behavior::removed));
  } else if (type == "BertPreTokenizer") {
    steps.push_back(split_step(R"(\s)", where, Behavior::removed));
    steps.push_back(split_step(R"([\p{P}$+<=>^`|~])", where));
  } else if (type == "Metaspace") {
    steps.push_back(metaspace_step(at));
  } else {
    at.unknown("pre-tokenizer",
               "ByteLevel, Split, Digits, Punctuation, Whitespace, WhitespaceSplit, BertPreTokenizer, Metaspace and Sequence");
  }
}

DecoderStep strip_step(const JsonAt& at) {
  DecoderStep step{.kind = DecoderStep::Kind::strip, .pattern = at.at("content").text()};
  const int64_t start = at.at("start").integer(), stop = at.at("stop").integer();
  require(start >= 0 && stop >= 0 && !step.pattern.empty(), ErrorCode::corrupt, "tokenizer.json: {} strips nothing sensible",
          at.pointer);
  step.start = size_t(start);
  step.stop = size_t(stop);
  return step;
}

void add_decoder_step(const JsonAt& at, Decoder& decoder, bool& fused) {
  using Kind = DecoderStep::Kind;
  const std::string type = at.type();
  require(!fused || type == "Strip" || type == "Fuse", ErrorCode::unsupported,
          "tokenizer.json: decoder '{}' at {} works on the fused text; Gale knows Strip there", type, at.pointer);
  if (type == "ByteLevel") {
    decoder.steps.push_back({.kind = Kind::byte_level});
  } else if (type == "ByteFallback") {
    decoder.steps.push_back({.kind = Kind::byte_fallback});
  } else if (type == "Fuse") {
    fused = true;
  } else if (type == "Replace") {
    bool is_regex = false;
    DecoderStep step{
        .kind = Kind::replace, .pattern = json_pattern(at.at("pattern"), is_regex), .content = at.at("content").text()};
    if (is_regex) step.regex = std::make_shared<const Regex>(step.pattern, "tokenizer.json: " + at.pointer);
    decoder.steps.push_back(std::move(step));
  } else if (type == "Metaspace") {
    const PreStep mark = metaspace_step(at);
    decoder.steps.push_back({.kind = Kind::replace, .pattern = mark.pattern, .content = " "});
    if (mark.prepend != PreStep::Prepend::never) decoder.leading = LeadingSpace::drop_all;
  } else if (type == "Strip") {
    DecoderStep step = strip_step(at);
    if (!fused) {
      decoder.steps.push_back(std::move(step));
    } else if (step.start != 0 || step.stop != 0) {
      require(step.pattern == " " && step.start == 1 && step.stop == 0, ErrorCode::unsupported,
              "tokenizer.json: {} strips {} at the start and {} at the end of '{}'; after Fuse Gale knows one leading space",
              at.pointer, step.start, step.stop, step.pattern);
      decoder.leading = LeadingSpace::drop_one;
    }
  } else {
    at.unknown("decoder", "ByteLevel, ByteFallback, Fuse, Replace, Metaspace, Strip and Sequence");
  }
}

TokenId known_id(const JsonAt& at, const std::function<bool(int64_t)>& known) {
  const int64_t id = at.integer();
  require(known(id), ErrorCode::corrupt, "tokenizer.json: {} is {}, which the vocabulary does not have", at.pointer, id);
  return TokenId(id);
}

// TemplateProcessing's form for one text: tokens, the text, tokens.
Surround from_template(const JsonAt& at, const std::function<bool(int64_t)>& known) {
  Surround out;
  bool after = false;
  const JsonAt single = at.at("single");
  for (size_t i = 0; i < single.list().size(); ++i) {
    const JsonAt item = single.at(i);
    if (item.has("Sequence")) {
      require(!after, ErrorCode::unsupported, "tokenizer.json: {} repeats the text", single.pointer);
      after = true;
      continue;
    }
    const std::string name = item.at("SpecialToken").at("id").text();
    const JsonAt ids = at.at("special_tokens").at(name).at("ids");
    for (size_t k = 0; k < ids.list().size(); ++k) (after ? out.suffix : out.prefix).push_back(known_id(ids.at(k), known));
  }
  require(after, ErrorCode::corrupt, "tokenizer.json: {} leaves the text out", single.pointer);
  return out;
}

Surround from_bert(const JsonAt& at, const std::function<bool(int64_t)>& known) {
  const auto id = [&](const char* key) {
    const JsonAt pair = at.at(key);
    require(pair.list().size() == 2, ErrorCode::corrupt, "tokenizer.json: {} is not [text, id]", pair.pointer);
    return known_id(pair.at(1), known);
  };
  return {{id("cls")}, {id("sep")}};
}

}  // namespace

Normalizer parse_normalizer(const Json& json) {
  std::vector<NormalizerStep> steps;
  for_each_part({json, "/normalizer"}, "normalizers", [&](const JsonAt& at) {
    steps.push_back(normalizer_step(at));
    check_count(steps, "normalizers");
  });
  return Normalizer(std::move(steps));
}

PreTokenizer parse_pre_tokenizer(const Json& json) {
  std::vector<PreStep> steps;
  for_each_part({json, "/pre_tokenizer"}, "pretokenizers", [&](const JsonAt& at) {
    add_pre_steps(at, steps);
    check_count(steps, "pre-tokenizers");
  });
  return PreTokenizer(std::move(steps));
}

Decoder parse_decoder(const Json& json) {
  Decoder decoder;
  bool fused = false;
  for_each_part({json, "/decoder"}, "decoders", [&](const JsonAt& at) {
    add_decoder_step(at, decoder, fused);
    check_count(decoder.steps, "decoders");
  });
  return decoder;
}

Surround parse_post_processor(const Json& json, const std::function<bool(int64_t)>& known) {
  Surround all;
  for_each_part({json, "/post_processor"}, "processors", [&](const JsonAt& at) {
    const std::string type = at.type();
    Surround one;
    if (type == "TemplateProcessing") {
      one = from_template(at, known);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      one = from_bert(at, known);
    } else if (type != "ByteLevel") {  // ByteLevel changes offsets only
      at.unknown("post-processor", "TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing and Sequence");
    }
    all.prefix.insert(all.prefix.begin(), one.prefix.begin(), one.prefix.end());
    all.suffix.insert(all.suffix.end(), one.suffix.begin(), one.suffix.end());
  });
  return all;
}

}  // namespace gale
