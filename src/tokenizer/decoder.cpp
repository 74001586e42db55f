#include "tokenizer/decoder.h"

#include "tokenizer/byte_level.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

std::string replace(const DecoderStep& step, std::string_view text) {
  std::string out;
  if (step.regex) {
    if (valid_prefix(text) != text.size()) return std::string(text);  // already raw bytes
    RegexScratch scratch(text.size());
    for_each_match(*step.regex, text, scratch, [&](size_t begin, size_t end, bool match) {
      out += match ? std::string_view(step.content) : text.substr(begin, end - begin);
    });
    return out;
  }
  size_t from = 0;
  for (size_t at; (at = text.find(step.pattern, from)) != std::string_view::npos; from = at + step.pattern.size()) {
    out.append(text, from, at - from);
    out += step.content;
  }
  return out.append(text, from);
}

std::string strip(const DecoderStep& step, std::string_view text) {
  for (size_t i = 0; i < step.start && text.starts_with(step.pattern); ++i) text.remove_prefix(step.pattern.size());
  for (size_t i = 0; i < step.stop && text.ends_with(step.pattern); ++i) text.remove_suffix(step.pattern.size());
  return std::string(text);
}

}  // namespace

std::string Decoder::piece(std::string_view token) const {
  std::string text(token);
  for (const DecoderStep& step : steps) {
    switch (step.kind) {
      case DecoderStep::Kind::byte_level:
        if (auto bytes = letters_to_bytes(text)) text = std::move(*bytes);
        break;
      case DecoderStep::Kind::byte_fallback:
        if (const int byte = byte_token(text); byte >= 0) text.assign(1, char(byte));
        break;
      case DecoderStep::Kind::replace:
        text = replace(step, text);
        break;
      case DecoderStep::Kind::strip:
        text = strip(step, text);
        break;
    }
  }
  return text;
}

Decoder sentencepiece_decoder(LeadingSpace leading) {
  return {{{.kind = DecoderStep::Kind::replace, .pattern = "\xe2\x96\x81", .content = " "},
           {.kind = DecoderStep::Kind::byte_fallback}},
          leading};
}

}  // namespace gale
