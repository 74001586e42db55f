#include "tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>

#include "base/fail.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

// Rules that make text longer can be chained; the work stays bounded. The longest decomposition of Unicode has 11 times the
// bytes.
size_t size_limit(size_t input) { return std::min(size_t(1) << 29, 32 * input + (size_t(64) << 10)); }

void check_size(const std::string& text, size_t limit) {
  require(
      text.size() <= limit, ErrorCode::invalid_argument,
      "the tokenizer's normalizer makes more than {} bytes of normalized text; send the text in parts or mend its Replace rules",
      limit);
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return uint8_t(c) < 0x80; });
}

int combining_class(int32_t code) { return utf8proc_get_property(code)->combining_class; }

// Sorts each run of combining marks by its class, marks of one class in their old order. utf8proc's own ordering swaps
// neighbours, which takes quadratic time on long runs; afterwards it finds nothing to swap.
void order_marks(std::vector<int32_t>& codes) {
  struct Mark {
    int order;
    size_t place;
    int32_t code;
    bool operator<(const Mark& o) const { return order != o.order ? order < o.order : place < o.place; }
  };
  std::vector<Mark> marks;
  for (size_t i = 0; i < codes.size(); ++i) {
    if (combining_class(codes[i]) == 0) continue;
    marks.clear();
    const size_t begin = i;
    for (int order; i < codes.size() && (order = combining_class(codes[i])) != 0; ++i) marks.push_back({order, i, codes[i]});
    std::sort(marks.begin(), marks.end());
    for (size_t k = 0; k < marks.size(); ++k) codes[begin + k] = marks[k].code;
  }
}

std::string unicode_form(std::string_view text, bool compose, bool compat) {
  const auto options =
      utf8proc_option_t(UTF8PROC_STABLE | (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) | (compat ? UTF8PROC_COMPAT : 0));
  std::vector<int32_t> codes;
  codes.reserve(text.size() + 1);
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    int32_t parts[32];  // the longest decomposition, U+FDFA's, has 18 code points
    int last_class = 0;
    const auto n = utf8proc_decompose_char(int32_t(c.code), parts, 32, options, &last_class);
    require(n >= 0 && n <= 32, ErrorCode::internal, "U+{:04X} has no decomposition of at most 32 code points", c.code);
    codes.insert(codes.end(), parts, parts + n);
    at += c.length;
  }
  order_marks(codes);
  auto size = utf8proc_ssize_t(codes.size());
  if (compose) size = utf8proc_normalize_utf32(codes.data(), size, options);
  std::string out;
  out.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < size; ++i) append_utf8(out, uint32_t(codes[size_t(i)]));
  return out;
}

std::string lowercase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    at += c.length;
    append_utf8(out, uint32_t(utf8proc_tolower(int32_t(c.code == 0x130 ? 'I' : c.code))));
    if (c.code == 0x130) append_utf8(out, 0x307);  // the one letter whose small form is two code points
  }
  return out;
}

std::string strip_accents(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    const auto category = utf8proc_category(int32_t(c.code));
    const bool mark = category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_ME;
    if (!mark) out.append(text, at, c.length);
    at += c.length;
  }
  return out;
}

std::string strip(std::string_view text, bool left, bool right) {
  while (left && !text.empty() && is_space(utf8_at(text, 0).code)) text.remove_prefix(utf8_at(text, 0).length);
  while (right && !text.empty() && is_space(utf8_before(text, text.size()).code))
    text.remove_suffix(utf8_before(text, text.size()).length);
  return std::string(text);
}

std::string replace_text(std::string_view text, std::string_view pattern, std::string_view content, size_t limit) {
  std::string out;
  out.reserve(text.size());
  size_t from = 0;
  for (size_t at; (at = text.find(pattern, from)) != std::string_view::npos; from = at + pattern.size()) {
    out.append(text, from, at - from);
    out += content;
    check_size(out, limit);
  }
  out.append(text, from);
  return out;
}

std::string replace_regex(std::string_view text, const Regex& regex, std::string_view content, RegexScratch& scratch,
                          size_t limit) {
  std::string out;
  for_each_match(regex, text, scratch, [&](size_t begin, size_t end, bool match) {
    out += match ? content : text.substr(begin, end - begin);
    check_size(out, limit);
  });
  return out;
}

}  // namespace

std::string Normalizer::apply(std::string_view input, bool continued, RegexScratch& scratch) const {
  std::string text(input);
  const size_t limit = size_limit(input.size());
  for (const NormalizerStep& step : steps_) {
    using Kind = NormalizerStep::Kind;
    switch (step.kind) {
      case Kind::nfc:
      case Kind::nfd:
      case Kind::nfkc:
      case Kind::nfkd:
        if (!is_ascii(text))
          text = unicode_form(text, step.kind == Kind::nfc || step.kind == Kind::nfkc,
                              step.kind == Kind::nfkc || step.kind == Kind::nfkd);
        break;
      case Kind::lowercase:
        text = lowercase(text);
        break;
      case Kind::strip_accents:
        text = strip_accents(text);
        break;
      case Kind::strip:
        text = strip(text, step.left && !continued, step.right);
        break;
      case Kind::prepend:
        if (!text.empty() && !continued) text.insert(0, step.content);
        break;
      case Kind::replace:
        text = step.is_regex ? replace_regex(text, *step.regex, step.content, scratch, limit)
                             : replace_text(text, step.pattern, step.content, limit);
        break;
    }
    check_size(text, limit);
  }
  return text;
}

}  // namespace gale
