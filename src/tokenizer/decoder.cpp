#include "tokenizer/decoder.h"

#include <algorithm>
#include <utility>

#include "tokenizer/byte_level.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

using Kind = DecoderStep::Kind;
using Texts = std::vector<std::string>;

std::string replace(const DecoderStep& step, std::string_view text, RegexScratch& scratch) {
  if (!step.regex) return replace_all(text, step.pattern, step.content);
  if (valid_prefix(text) != text.size()) return std::string(text);  // already raw bytes
  std::string out, buffer;
  for_each_match(*step.regex, step.regex->subject(text, buffer), scratch, [&](size_t begin, size_t end, bool match) {
    out += match ? std::string_view(step.content) : text.substr(begin, end - begin);
  });
  return out;
}

std::string strip(const DecoderStep& step, std::string_view text) {
  for (size_t i = 0; i < step.start && text.starts_with(step.pattern); ++i) text.remove_prefix(step.pattern.size());
  for (size_t i = 0; i < step.stop && text.ends_with(step.pattern); ++i) text.remove_suffix(step.pattern.size());
  return std::string(text);
}

std::string without_odd_spaces(std::string text) {
  for (const auto& [from, to] : kCleanups) text = replace_all(text, from, to);
  return text;
}

std::string wordpiece(const DecoderStep& step, std::string text, bool first) {
  if (!first) {
    if (text.starts_with(step.pattern))
      text.erase(0, step.pattern.size());
    else
      text.insert(0, " ");
  }
  return step.cleanup ? without_odd_spaces(std::move(text)) : text;
}

std::string metaspace(const DecoderStep& step, std::string_view text, bool first) {
  return replace_all(text, step.pattern, first && step.drops_first ? "" : " ");
}

std::string join(const Texts& texts) {
  std::string out;
  for (const std::string& t : texts) out += t;
  return out;
}

// Runs of byte tokens become their text; a run that is not UTF-8 becomes as many U+FFFD as it has bytes.
Texts join_bytes(const Texts& tokens) {
  Texts out;
  std::string bytes;
  const auto flush = [&] {
    if (valid_prefix(bytes) == bytes.size()) {
      if (!bytes.empty()) out.push_back(bytes);
    } else {
      out.insert(out.end(), bytes.size(), "\xef\xbf\xbd");
    }
    bytes.clear();
  };
  for (const std::string& t : tokens) {
    if (const int byte = byte_token(t); byte >= 0) {
      bytes += char(byte);
    } else {
      flush();
      out.push_back(t);
    }
  }
  flush();
  return out;
}

Texts ctc(const DecoderStep& step, Texts tokens) {
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  Texts out;
  for (const std::string& t : tokens) {
    std::string text = replace_all(t, step.pattern, "");
    if (step.cleanup) text = replace_all(without_odd_spaces(std::move(text)), step.content, " ");
    if (!text.empty()) out.push_back(std::move(text));
  }
  return out;
}

Texts apply(const DecoderStep& step, Texts tokens, RegexScratch& scratch) {
  switch (step.kind) {
    case Kind::byte_level: {
      std::string bytes, out;
      for (const std::string& t : tokens) bytes += letters_to_bytes(t).value_or(t);
      append_lossy(out, bytes, true);
      return {out};
    }
    case Kind::byte_fallback:
      return join_bytes(tokens);
    case Kind::fuse:
      return {join(tokens)};
    case Kind::ctc:
      return ctc(step, std::move(tokens));
    case Kind::bpe:
      for (std::string& t : tokens) t = replace_all(t, step.pattern, &t == &tokens.back() ? "" : " ");
      return tokens;
    case Kind::replace:
      for (std::string& t : tokens) t = replace(step, t, scratch);
      return tokens;
    case Kind::strip:
      for (std::string& t : tokens) t = strip(step, t);
      return tokens;
    case Kind::metaspace:
      for (std::string& t : tokens) t = metaspace(step, t, &t == tokens.data());
      return tokens;
    case Kind::wordpiece:
      for (std::string& t : tokens) t = wordpiece(step, std::move(t), &t == tokens.data());
      return tokens;
  }
  return tokens;
}

}  // namespace

std::string replace_all(std::string_view text, std::string_view pattern, std::string_view content) {
  std::string out;
  size_t from = 0;
  if (pattern.empty()) {
    out = content;
    for (size_t length; from < text.size(); from += length) {
      length = utf8_at(text, from).length;
      out.append(text, from, length).append(content);
    }
    return out;
  }
  for (size_t at; (at = text.find(pattern, from)) != std::string_view::npos; from = at + pattern.size()) {
    out.append(text, from, at - from);
    out += content;
  }
  return out.append(text, from);
}

Decoder::Decoder(std::vector<DecoderStep> steps) : steps_(std::move(steps)), absent_(false) {
  bool fused = false, bytes = false;
  for (const DecoderStep& s : steps_) {
    // After all tokens became one text only its start can still be known piece by piece, and what stands in one token's letters.
    const bool start_only = s.kind == Kind::strip && s.start <= 1 && s.stop == 0;
    const bool inside = s.kind == Kind::replace && !s.regex;
    const bool joined_ok = start_only || (inside && !fused);
    piecewise_ &= s.kind == Kind::fuse || (fused || bytes ? joined_ok : s.kind != Kind::bpe && s.kind != Kind::ctc);
    strips_leading_space_ |= ((fused || bytes) && s.kind == Kind::strip && s.start > 0 && s.pattern == " ") || s.drops_first;
    fused |= s.kind == Kind::fuse;
    bytes |= s.kind == Kind::byte_level;
  }
}

std::string Decoder::text(Texts tokens) const {
  if (absent_) {
    std::string out;
    for (size_t i = 0; i < tokens.size(); ++i) out.append(i > 0 ? " " : "").append(tokens[i]);
    return out;
  }
  size_t bytes = 0;
  for (const std::string& t : tokens) bytes += t.size();
  RegexScratch scratch(bytes);
  for (const DecoderStep& step : steps_) tokens = apply(step, std::move(tokens), scratch);
  return join(tokens);
}

std::string Decoder::piece(std::string_view token, bool first, RegexScratch& scratch) const {
  std::string text(token);
  if (absent_ && !first) text.insert(0, " ");
  bool fused = false;
  for (const DecoderStep& step : steps_) {
    switch (step.kind) {
      case Kind::byte_level:
        if (auto bytes = letters_to_bytes(text)) text = std::move(*bytes);
        fused = true;
        break;
      case Kind::byte_fallback:
        if (const int byte = byte_token(text); byte >= 0) text.assign(1, char(byte));
        break;
      case Kind::fuse:
        fused = true;
        break;
      case Kind::replace:
        text = replace(step, text, scratch);
        break;
      case Kind::strip:
        if (!fused || first) text = strip(step, text);
        break;
      case Kind::metaspace:
        text = metaspace(step, text, first);
        break;
      case Kind::wordpiece:
        text = wordpiece(step, std::move(text), first);
        break;
      case Kind::bpe:
        text = replace_all(text, step.pattern, " ");
        break;
      case Kind::ctc:
        text = join(ctc(step, {text}));
        break;
    }
  }
  return text;
}

Decoder sentencepiece_decoder(bool drops_space) {
  std::vector<DecoderStep> steps = {{.kind = Kind::replace, .pattern = "\xe2\x96\x81", .content = " "},
                                    {.kind = Kind::byte_fallback}};
  steps.push_back({.kind = Kind::fuse});
  if (drops_space) steps.push_back({.kind = Kind::strip, .pattern = " ", .start = 1});
  return Decoder(std::move(steps));
}

}  // namespace gale
