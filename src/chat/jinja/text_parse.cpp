// Stripping and splitting of text, and Python's numbers to and from text.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "chat/jinja/text.h"
#include "chat/jinja/unicode_tables.h"
#include "chat/jinja/value.h"

namespace gale::jinja {
namespace {

bool in_set(std::optional<std::string_view> chars, std::string_view one, char32_t c) {
  if (!chars) return is_space(c);
  // A hit must lie on a code point's border: UTF-8 guarantees that for well formed text.
  return chars->find(one) != std::string_view::npos;
}

/// Without the underscores Python allows between digits; nothing where one stands elsewhere.
std::optional<std::string> drop_underscores(std::string_view s) {
  std::string out;
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '_') {
      out += s[i];
      continue;
    }
    const auto word = [&](size_t at) { return at < s.size() && std::isalnum(uint8_t(s[at])); };
    if (i == 0 || !word(i - 1) || !word(i + 1)) return std::nullopt;
  }
  return out;
}

}  // namespace

std::string_view strip_left(std::string_view s, std::optional<std::string_view> chars) {
  for (size_t at = 0; !s.empty(); at = 0) {
    const char32_t c = next_code_point(s, at);
    if (!in_set(chars, s.substr(0, at), c)) break;
    s.remove_prefix(at);
  }
  return s;
}

std::string_view strip_right(std::string_view s, std::optional<std::string_view> chars) {
  while (!s.empty()) {
    size_t from = s.size() - 1;
    while (from > 0 && s.size() - from < 4 && (uint8_t(s[from]) & 0xc0) == 0x80) --from;
    size_t at = from;
    const char32_t c = next_code_point(s, at);
    if (at != s.size()) break;  // not UTF-8
    if (!in_set(chars, s.substr(from), c)) break;
    s.remove_suffix(s.size() - from);
  }
  return s;
}

std::vector<std::string_view> split_lines(std::string_view s, bool keep_ends) {
  std::vector<std::string_view> out;
  size_t from = 0;
  for (size_t at = 0; at < s.size();) {
    const size_t mark = at;
    const char32_t c = next_code_point(s, at);
    if (!is_line_break(c)) continue;
    if (c == '\r' && at < s.size() && s[at] == '\n') ++at;
    out.push_back(s.substr(from, (keep_ends ? at : mark) - from));
    from = at;
  }
  if (from < s.size()) out.push_back(s.substr(from));
  return out;
}

namespace {

// Digits of all scripts as those of ASCII. Each script has its ten one after the other.
std::string ascii_digits(std::string_view s) {
  std::string out;
  for (size_t at = 0; at < s.size();) {
    const size_t from = at;
    const char32_t c = next_code_point(s, at);
    const auto digits = unicode::decimal();
    const auto after = std::ranges::upper_bound(digits, c, {}, &unicode::Range::first);
    if (c >= 0x80 && after != digits.begin() && c <= (after - 1)->last)
      out += char('0' + (c - (after - 1)->first) % 10);
    else
      out += s.substr(from, at - from);
  }
  return out;
}

}  // namespace

std::optional<int64_t> parse_int(std::string_view s, int base) {
  const std::string ascii = ascii_digits(strip(s));
  s = ascii;
  bool negative = false;
  if (!s.empty() && (s[0] == '+' || s[0] == '-')) {
    negative = s[0] == '-';
    s.remove_prefix(1);
  }
  const auto prefixed = [&](char letter) { return s.size() > 2 && s[0] == '0' && (s[1] | 32) == letter; };
  const int prefix_base = prefixed('x') ? 16 : prefixed('o') ? 8 : prefixed('b') ? 2 : 0;
  if (prefix_base && (base == 0 || base == prefix_base)) {
    base = prefix_base;
    s.remove_prefix(s[2] == '_' ? 3 : 2);
  }
  if (base == 0) base = 10;
  if (base < 2 || base > 36) raise("int() base must be >= 2 and <= 36, or 0");
  const auto digits = drop_underscores(s);
  if (!digits || digits->empty() || (*digits)[0] == '-') return std::nullopt;
  int64_t v = 0;
  const std::string text = negative ? "-" + *digits : *digits;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v, base);
  if (end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) raise("integer {} does not fit in 64 bits", text.substr(0, 40));
  return error == std::errc() ? std::optional(v) : std::nullopt;
}

std::optional<double> parse_float(std::string_view s) {
  const std::string ascii = ascii_digits(strip(s));
  s = ascii;
  bool negative = false;
  if (!s.empty() && (s[0] == '+' || s[0] == '-')) {
    negative = s[0] == '-';
    s.remove_prefix(1);
  }
  const auto digits = drop_underscores(s);
  if (!digits || digits->empty() || (*digits)[0] == '-') return std::nullopt;
  double v = 0;
  const auto [end, error] = std::from_chars(digits->data(), digits->data() + digits->size(), v);
  if (end != digits->data() + digits->size() || digits->find('(') != std::string::npos) return std::nullopt;
  if (error == std::errc::result_out_of_range) {  // from_chars does not say which way
    const bool tiny = digits->find("e-") != std::string::npos || digits->find("E-") != std::string::npos || (*digits)[0] == '0';
    v = tiny ? 0.0 : HUGE_VAL;
  } else if (error != std::errc()) {
    return std::nullopt;
  }
  return negative ? -v : v;
}

std::string float_repr(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v < 0 ? "-inf" : "inf";
  char raw[40];
  const auto end = std::to_chars(raw, raw + sizeof raw, v, std::chars_format::scientific).ptr;
  std::string_view text(raw, size_t(end - raw));
  const bool negative = text[0] == '-';
  if (negative) text.remove_prefix(1);
  const size_t e = text.find('e');
  int exponent = 0;
  const char* exponent_at = text.data() + e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(exponent_at, text.data() + text.size(), exponent);
  std::string digits(text.substr(0, 1));
  if (e > 2) digits += text.substr(2, e - 2);
  const int n = int(digits.size());
  std::string out;
  if (exponent < -4 || exponent >= 16) {
    out = digits.substr(0, 1) + (n > 1 ? "." + digits.substr(1) : "") +
          fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  } else if (exponent < 0) {
    out = "0." + std::string(size_t(-exponent - 1), '0') + digits;
  } else if (n <= exponent + 1) {
    out = digits + std::string(size_t(exponent + 1 - n), '0') + ".0";
  } else {
    out = digits.substr(0, size_t(exponent) + 1) + "." + digits.substr(size_t(exponent) + 1);
  }
  return negative ? "-" + out : out;
}

}  // namespace gale::jinja
