#include "chat/jinja/text.h"

#include <string.h>  // memmem

#include <algorithm>
#include <span>

#include "chat/jinja/unicode_tables.h"

namespace gale::jinja {
namespace {

bool in_ranges(std::span<const unicode::Range> ranges, char32_t c) {
  const auto it =
      std::upper_bound(ranges.begin(), ranges.end(), c, [](char32_t v, const unicode::Range& r) { return v < r.first; });
  return it != ranges.begin() && c <= std::prev(it)->last;
}

char32_t map_case(std::span<const unicode::Mapping> rows, char32_t c) {
  // Runs with a stride may interleave, so the last few that begin before c are tried.
  auto it = std::upper_bound(rows.begin(), rows.end(), c, [](char32_t v, const unicode::Mapping& m) { return v < m.first; });
  for (int tries = 0; tries < 4 && it != rows.begin(); ++tries) {
    --it;
    if (c <= it->last && (c - it->first) % char32_t(it->stride) == 0) return char32_t(int32_t(c) + it->distance);
  }
  return c;
}

bool append_expanded(std::string& out, std::span<const unicode::Expansion> rows, char32_t c) {
  const auto it =
      std::lower_bound(rows.begin(), rows.end(), c, [](const unicode::Expansion& e, char32_t v) { return e.from < v; });
  if (it == rows.end() || it->from != c) return false;
  out += it->to;
  return true;
}

void append_upper(std::string& out, char32_t c) {
  if (c < 128) {
    out += char(c >= 'a' && c <= 'z' ? c - 32 : c);
  } else if (!append_expanded(out, unicode::expand_upper(), c)) {
    append_code_point(out, map_case(unicode::to_upper(), c));
  }
}

void append_title(std::string& out, char32_t c) {
  if (c < 128 || !append_expanded(out, unicode::expand_title(), c)) append_upper(out, c);
}

bool is_cased(char32_t c) { return in_ranges(unicode::cased(), c); }

/// Whether the capital sigma at [from, after) ends a word: what is neither letter nor space does not count.
bool ends_word(std::string_view s, size_t from, size_t after) {
  char32_t before = 0;
  while (from > 0) {
    do --from;
    while (from > 0 && (uint8_t(s[from]) & 0xc0) == 0x80);
    size_t at = from;
    before = next_code_point(s, at);
    if (!in_ranges(unicode::case_ignorable(), before)) break;
    before = 0;
  }
  if (!is_cased(before)) return false;
  while (after < s.size()) {
    const char32_t c = next_code_point(s, after);
    if (!in_ranges(unicode::case_ignorable(), c)) return !is_cased(c);
  }
  return true;
}

/// The letter c, which stands at s[from, after).
void append_lower(std::string& out, std::string_view s, size_t from, size_t after, char32_t c) {
  if (c < 128) {
    out += char(c >= 'A' && c <= 'Z' ? c + 32 : c);
  } else if (c == 0x130) {
    out += "i\xcc\x87";
  } else if (c == 0x3a3) {
    append_code_point(out, ends_word(s, from, after) ? 0x3c2 : 0x3c3);
  } else {
    append_code_point(out, map_case(unicode::to_lower(), c));
  }
}

constexpr char32_t kBadByte = 0x110000;  // + byte: a byte that is not UTF-8

/// The text that `append(out, from, after, c)` makes of each character c = s[from, after).
template <class Append>
std::string rewrite(std::string_view s, Authors* authors, Append append) {
  std::string out;
  out.reserve(s.size());
  Authors::Moving moving(authors);
  for (size_t at = 0; at < s.size();) {
    const size_t from = at;
    const char32_t c = next_code_point(s, at);
    append(out, from, at, c);
    moving.pass(at, out.size());
  }
  return out;
}

}  // namespace

char32_t next_code_point(std::string_view s, size_t& at) {
  const auto byte = [&](size_t i) { return i < s.size() ? uint8_t(s[i]) : uint8_t(0); };
  const uint8_t a = byte(at);
  if (a < 0x80) return s[at++];
  const int more = a >= 0xf0 && a < 0xf5 ? 3 : a >= 0xe0 ? 2 : a >= 0xc2 ? 1 : 0;
  char32_t c = more == 3 ? a & 7 : more == 2 ? a & 15 : a & 31;
  bool good = more > 0 && a < 0xf5;
  for (int i = 1; i <= more && good; ++i) {
    good = (byte(at + size_t(i)) & 0xc0) == 0x80;
    c = (c << 6) | (byte(at + size_t(i)) & 0x3f);
  }
  good = good && !(more == 2 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) && !(more == 3 && (c < 0x10000 || c > 0x10ffff));
  if (!good) {
    ++at;
    return kBadByte + a;
  }
  at += size_t(more) + 1;
  return c;
}

void append_code_point(std::string& out, char32_t c) {
  if (c >= kBadByte) {
    out += char(c - kBadByte);
  } else if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += char(0xc0 | (c >> 6));
    out += char(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += char(0xe0 | (c >> 12));
    out += char(0x80 | ((c >> 6) & 0x3f));
    out += char(0x80 | (c & 0x3f));
  } else {
    out += char(0xf0 | (c >> 18));
    out += char(0x80 | ((c >> 12) & 0x3f));
    out += char(0x80 | ((c >> 6) & 0x3f));
    out += char(0x80 | (c & 0x3f));
  }
}

bool valid_utf8(std::string_view s) {
  for (size_t at = 0; at < s.size();) {
    if (next_code_point(s, at) >= kBadByte) return false;
  }
  return true;
}

int64_t text_length(std::string_view s) {
  int64_t n = 0;
  for (size_t at = 0; at < s.size(); ++n) next_code_point(s, at);
  return n;
}

size_t text_offset(std::string_view s, int64_t index) {
  size_t at = 0;
  for (int64_t i = 0; i < index && at < s.size(); ++i) next_code_point(s, at);
  return at;
}

std::vector<std::string_view> text_characters(std::string_view s) {
  std::vector<std::string_view> out;
  for (size_t at = 0; at < s.size();) {
    const size_t from = at;
    next_code_point(s, at);
    out.push_back(s.substr(from, at - from));
  }
  return out;
}

size_t find_text(std::string_view s, std::string_view part, size_t from) {
  if (from > s.size()) return s.npos;
  // Short parts cannot cost much; long ones go through a search that does not start again at every near match.
  if (part.size() <= 32) return s.find(part, from);
  const void* hit = memmem(s.data() + from, s.size() - from, part.data(), part.size());
  return hit ? size_t(static_cast<const char*>(hit) - s.data()) : s.npos;
}

bool is_space(char32_t c) {
  if (c < 128) return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20);
  return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}
bool is_line_break(char32_t c) {
  return (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}
bool is_alpha(char32_t c) { return in_ranges(unicode::alpha(), c); }
bool is_decimal(char32_t c) { return in_ranges(unicode::decimal(), c); }
bool is_digit(char32_t c) { return is_decimal(c) || in_ranges(unicode::digit(), c); }
bool is_numeric(char32_t c) { return is_digit(c) || in_ranges(unicode::numeric(), c); }
bool is_printable(char32_t c) { return c < kBadByte && !is_noncharacter(c) && !in_ranges(unicode::unprintable(), c); }
bool is_lower(char32_t c) { return c < 128 ? c >= 'a' && c <= 'z' : in_ranges(unicode::lower_case(), c); }
bool is_upper(char32_t c) { return c < 128 ? c >= 'A' && c <= 'Z' : in_ranges(unicode::upper_case(), c); }
bool is_title(char32_t c) {
  if (c < 0x1c5) return false;
  const bool greek = (c >= 0x1f88 && c <= 0x1f8f) || (c >= 0x1f98 && c <= 0x1f9f) || (c >= 0x1fa8 && c <= 0x1faf);
  return greek || c == 0x1c5 || c == 0x1c8 || c == 0x1cb || c == 0x1f2 || c == 0x1fbc || c == 0x1fcc || c == 0x1ffc;
}

bool is_identifier(std::string_view s) {
  if (s.empty()) return false;
  for (size_t at = 0; at < s.size();) {
    const bool first = at == 0;
    const char32_t c = next_code_point(s, at);
    if (c != '_' && !is_alpha(c) && (first || !is_decimal(c))) return false;
  }
  return true;
}

std::string to_upper(std::string_view s, Authors* authors) {
  return rewrite(s, authors, [](std::string& out, size_t, size_t, char32_t c) { append_upper(out, c); });
}

std::string to_lower(std::string_view s, Authors* authors) {
  return rewrite(s, authors,
                 [s](std::string& out, size_t from, size_t after, char32_t c) { append_lower(out, s, from, after, c); });
}

std::string fold_case(std::string_view s, Authors* authors) {
  return rewrite(s, authors, [](std::string& out, size_t, size_t, char32_t c) {
    if (c < 128 || !append_expanded(out, unicode::expand_fold(), c)) append_lower(out, {}, 0, 0, c);
  });
}

std::string capitalize(std::string_view s, Authors* authors) {
  return rewrite(s, authors, [s](std::string& out, size_t from, size_t after, char32_t c) {
    from == 0 ? append_title(out, c) : append_lower(out, s, from, after, c);
  });
}

std::string title_case(std::string_view s, Authors* authors) {
  bool inside = false;
  return rewrite(s, authors, [&inside, s](std::string& out, size_t from, size_t after, char32_t c) {
    inside ? append_lower(out, s, from, after, c) : append_title(out, c);
    inside = is_cased(c);
  });
}

std::string swap_case(std::string_view s, Authors* authors) {
  return rewrite(s, authors, [s](std::string& out, size_t from, size_t after, char32_t c) {
    is_upper(c) ? append_lower(out, s, from, after, c) : is_lower(c) ? append_upper(out, c) : append_code_point(out, c);
  });
}

}  // namespace gale::jinja
