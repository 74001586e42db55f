#include "tokenizer/normalizer.h"

#include <algorithm>
#include <cstdint>

#include "base/fail.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/unicode.h"
#include "tokenizer/unicode_forms.h"

namespace gale {
namespace {

// Calls visit(code, length) for each character; what it does not put, copy or skip stays for the next one.
template <class Visit>
void for_each_character(const std::string& text, Visit visit) {
  for (size_t at = 0, length; at < text.size(); at += length) {
    const char32_t code = utf8_next(text, at, length);
    visit(code, length);
  }
}

template <class Keep>
void filter(SourceText& text, Keep keep) {
  Rewriter out(text);
  for_each_character(text.bytes, [&](char32_t code, size_t length) { keep(code) ? out.copy(length) : out.skip(length); });
  out.finish();
}

void to_form(SourceText& text, bool compose, bool compat) {
  if (is_ascii(text.bytes)) return;
  Rewriter out(text);
  for (const FormChar c : unicode_form(text.bytes, compose, compat)) out.put(c.code, c.change);
  out.finish();
}

void lowercase(SourceText& text) {
  if (is_ascii(text.bytes)) {
    for (char& c : text.bytes) c = char(to_lower(uint8_t(c)));
    return;
  }
  Rewriter out(text);
  for_each_character(text.bytes, [&](char32_t code, size_t length) {
    const char32_t small = code == 0x130 ? 'i' : to_lower(code);
    small == code ? out.copy(length) : out.put(small, 0);
    if (code == 0x130) out.put(char32_t(0x307), 1);  // the one letter whose small form is two code points
  });
  out.finish();
}

void strip(SourceText& text, bool left, bool right) {
  std::string_view rest = text.bytes;
  while (right && !rest.empty() && is_space(utf8_before(rest, rest.size()).code))
    rest.remove_suffix(utf8_before(rest, rest.size()).length);
  size_t begin = 0;
  while (left && begin < rest.size() && is_space(utf8_at(rest, begin).code)) begin += utf8_at(rest, begin).length;
  Rewriter out(text);
  out.skip(begin);
  out.copy(rest.size() - begin);
  out.finish();
}

void prepend(SourceText& text, const std::string& content) {
  if (text.bytes.empty()) return;
  text.bytes.insert(0, content);
  if (text.tracked) text.origins.insert(text.origins.begin(), content.size(), Origin(text.origins[0]));
}

void replace_text(SourceText& text, std::string_view pattern, std::string_view content, size_t limit) {
  if (text.bytes.find(pattern) == std::string::npos) return;
  Rewriter out(text);
  for (size_t found; (found = text.bytes.find(pattern, out.at())) != std::string::npos;) {
    out.copy(found - out.at());
    out.skip(pattern.size());
    out.insert(content);
    check_growth(out.size(), limit);
  }
  out.copy(text.bytes.size() - out.at());
  out.finish();
}

void replace_regex(SourceText& text, const Regex& regex, std::string_view content, RegexScratch& scratch, size_t limit) {
  Rewriter out(text);
  std::string buffer;
  for_each_match(regex, regex.subject(text.bytes, buffer), scratch, [&](size_t begin, size_t end, bool match) {
    if (!match) return out.copy(end - begin);
    out.skip(end - begin);
    out.insert(content);
    check_growth(out.size(), limit);
  });
  out.finish();
}

void nmt(SourceText& text) {
  Rewriter out(text);
  for_each_character(text.bytes, [&](char32_t code, size_t length) {
    if (unicode::contains(unicode::nmt_removed(), code))
      out.skip(length);
    else if (unicode::contains(unicode::nmt_space(), code))
      out.put(char32_t(' '), 0);
    else
      out.copy(length);
  });
  out.finish();
}

void byte_letters(SourceText& text) {
  Rewriter out(text);
  const std::string bytes = text.bytes;
  for_each_character(bytes, [&](char32_t, size_t length) {
    const size_t begin = out.at();
    for (size_t i = 0; i < length; ++i) out.put(byte_letter(uint8_t(bytes[begin + i])), i > 0);
  });
  out.finish();
}

bool is_chinese(char32_t c) noexcept {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
         (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

void bert(SourceText& text, const NormalizerStep::Bert& options) {
  if (options.clean_text) {
    Rewriter out(text);
    for_each_character(text.bytes, [&](char32_t code, size_t length) {
      if (code < 0x80 ? (code < ' ' && code != '\t' && code != '\n' && code != '\r') || code == 0x7f
                      : unicode::contains(unicode::bert_control(), code))
        out.skip(length);
      else if (is_space(code) && code != ' ')
        out.put(char32_t(' '), 0);
      else
        out.copy(length);
    });
    out.finish();
  }
  const bool ascii = is_ascii(text.bytes);
  if (options.chinese_chars && !ascii) {
    Rewriter out(text);
    for_each_character(text.bytes, [&](char32_t code, size_t length) {
      if (!is_chinese(code)) return out.copy(length);
      out.put(char32_t(' '), 0);
      out.put(code, 1);
      out.put(char32_t(' '), 1);
    });
    out.finish();
  }
  if (options.strip_accents && !ascii) {
    to_form(text, false, false);
    filter(text, [](char32_t code) { return code < 0x300 || !unicode::contains(unicode::nonspacing_mark(), code); });
  }
  if (options.lowercase) lowercase(text);
}

void collapse_spaces(SourceText& text) {
  Rewriter out(text);
  const std::string_view bytes = text.bytes;
  bool space = true;
  const size_t last = bytes.find_last_not_of(' ') + 1;  // 0 where there are only spaces
  for (const char c : bytes.substr(0, last)) {
    (c == ' ' && space) ? out.skip(1) : out.copy(1);
    space = c == ' ';
  }
  out.finish();
}

void apply_step(const NormalizerStep& step, SourceText& text, RegexScratch& scratch, size_t limit) {
  using Kind = NormalizerStep::Kind;
  switch (step.kind) {
    case Kind::nfc:
      return to_form(text, true, false);
    case Kind::nfd:
      return to_form(text, false, false);
    case Kind::nfkc:
      return to_form(text, true, true);
    case Kind::nfkd:
      return to_form(text, false, true);
    case Kind::lowercase:
      return lowercase(text);
    case Kind::strip_accents:
      return filter(text, [](char32_t c) { return c < 0x300 || !unicode::contains(unicode::combining_mark(), c); });
    case Kind::strip:
      return strip(text, step.left, step.right);
    case Kind::prepend:
      return prepend(text, step.content);
    case Kind::replace:
      return step.is_regex ? replace_regex(text, *step.regex, step.content, scratch, limit)
                           : replace_text(text, step.pattern, step.content, limit);
    case Kind::nmt:
      return nmt(text);
    case Kind::byte_letters:
      return byte_letters(text);
    case Kind::bert:
      return bert(text, step.bert);
    case Kind::precompiled:
      return step.charsmap->apply(text, step.match, limit);
    case Kind::collapse_spaces:
      return collapse_spaces(text);
    case Kind::sentencepiece:
      return step.rules->apply(text, limit);
  }
}

}  // namespace

void Normalizer::apply(SourceText& text, RegexScratch& scratch) const {
  for (const NormalizerStep& step : steps_) {
    apply_step(step, text, scratch, scratch.budget.bytes);
    check_growth(text.bytes.size(), scratch.budget.bytes);
  }
  if (!steps_.empty()) scratch.budget.bytes -= text.bytes.size();
}

std::string Normalizer::apply(std::string_view text, RegexScratch& scratch) const {
  SourceText out(text);
  apply(out, scratch);
  return out.bytes;
}

}  // namespace gale
