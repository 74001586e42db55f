// Filters that make or read HTML: xmlattr, urlize, striptags, urlencode.
#include <algorithm>
#include <set>

#include "chat/jinja/filters.h"
#include "chat/jinja/html_entities.h"
#include "chat/jinja/text.h"

namespace gale::jinja {
namespace {

using std::string_view;

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }
bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex(char c) { return is_ascii_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f'); }
/// Whether all code points are what a regular expression calls \w, or in `more`.
bool all_words(string_view s, string_view more) {
  for (size_t at = 0; at < s.size();) {
    const char32_t c = next_code_point(s, at);
    if (c != '_' && !is_alnum(c) && (c > 127 || more.find(char(c)) == more.npos)) return false;
  }
  return true;
}

Value xml_attributes(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("xmlattr", args, {"autospace"});
  if (v.is_undefined()) v.raise_undefined();
  if (!v.dict()) raise("'{}' object has no attribute 'items'", v.type_name());
  TextBuilder out(in.heap);
  for (const auto& [key, value] : v.dict()->items()) {
    in.heap.step();
    if (value.is_none() || value.is_undefined()) continue;
    if (!key.str()) raise("xmlattr: the name of an attribute must be a str, not {}", key.type_name());
    if (key.str()->text.find_first_of(" \t\n\r\f\v/>=") != std::string::npos)
      raise("Invalid character in attribute name: '{}'", string_view(key.str()->text).substr(0, 80));
    if (out.size() > 0 || a.flag(0, true)) out.add(" ");
    out.add(escape_html(in.heap, key));
    out.add("=\"");
    out.add(escape_html(in.heap, value));
    out.add("\"");
  }
  return in.heap.text(out.take());
}

// --- urlize ---

bool starts_with_any_case(string_view s, string_view lower) {
  return s.size() >= lower.size() && std::equal(lower.begin(), lower.end(), s.begin(),
                                                [](char a, char b) { return a == char(is_ascii_letter(b) ? b | 32 : b); });
}

/// An optional port, then an optional path.
bool is_url_rest(string_view s) {
  if (s.starts_with(':')) {
    size_t end = 1;
    while (end < s.size() && is_ascii_digit(s[end])) ++end;
    if (end == 1 || end > 6) return false;
    s.remove_prefix(end);
  }
  return s.empty() || s[0] == '/' || s[0] == '?' || s[0] == '#';
}

std::vector<string_view> labels_of(string_view host) {
  std::vector<string_view> out;
  for (size_t dot; (dot = host.find('.')) != host.npos; host.remove_prefix(dot + 1)) out.push_back(host.substr(0, dot));
  out.push_back(host);
  return out;
}

bool is_top_level(string_view s) {
  if (starts_with_any_case(s, "xn--")) {
    const int64_t n = text_length(s.substr(4));
    if (n >= 2 && n <= 59 && all_words(s.substr(4), "%")) return true;
  }
  return s.size() >= 2 && s.size() <= 63 && std::all_of(s.begin(), s.end(), is_ascii_letter);
}

bool is_ip4(const std::vector<string_view>& labels) {
  const auto number = [](string_view s) {
    return !s.empty() && s.size() <= 3 && std::all_of(s.begin(), s.end(), is_ascii_digit);
  };
  return labels.size() == 4 && std::all_of(labels.begin(), labels.end(), number);
}

/// "[...]" with two to eight groups of hex digits, then the rest of the address.
bool is_ip6_url(string_view s) {
  const size_t end = s.find(']');
  if (!s.starts_with('[') || end == s.npos || !is_url_rest(s.substr(end + 1))) return false;
  size_t at = 1, groups = 0;
  for (; at < end && groups < 8; ++groups) {
    size_t digits = 0;
    while (at < end && digits < 4 && is_hex(s[at])) ++at, ++digits;
    const bool colon = at < end && s[at] == ':';
    at += colon;
    if ((groups < 2 && !colon) || (!colon && digits == 0)) return false;
  }
  return at == end && groups >= 2;
}

bool is_url(string_view s) {
  const bool scheme = starts_with_any_case(s, "https://") || starts_with_any_case(s, "http://");
  const bool www = starts_with_any_case(s, "www.");
  const string_view rest = scheme ? s.substr(s.find("//") + 2) : s;
  if (scheme && is_ip6_url(rest)) return true;
  size_t end = 0;
  for (size_t next = 0; end < rest.size(); end = next) {
    const char32_t c = next_code_point(rest, next);
    if (c != '_' && !is_alnum(c) && c != '%' && c != '-' && c != '.') break;
  }
  if (!is_url_rest(rest.substr(end))) return false;
  auto labels = labels_of(rest.substr(0, end));
  const auto label = [](string_view l) { return !l.empty() && all_words(l, "%-"); };
  if (scheme && is_ip4(labels)) return true;
  if (scheme || www) {
    const auto first = labels.begin() + (scheme ? 0 : 1);
    if (std::all_of(first, labels.end() - 1, label) && is_top_level(labels.back())) return true;
    if (scheme) return false;
  }
  static constexpr string_view basic[] = {"com", "net", "int", "edu", "gov", "org", "info", "mil"};
  const bool known = std::any_of(std::begin(basic), std::end(basic), [&](string_view b) {
    return labels.back().size() == b.size() && starts_with_any_case(labels.back(), b);
  });
  const auto domain = [&](string_view l) { return text_length(l) >= 2 && text_length(l) <= 63 && label(l); };
  return known && labels.size() > 1 && std::all_of(labels.begin(), labels.end() - 1, domain);
}

bool is_email(string_view s) {
  const size_t sign = s.rfind('@');
  if (sign == s.npos || sign == 0) return false;
  const string_view domain = s.substr(sign + 1);
  const size_t dot = domain.rfind('.');
  if (dot == domain.npos || dot == 0 || dot + 1 == domain.size()) return false;
  size_t first = 0;
  next_code_point(domain, first);
  return all_words(domain.substr(0, first), "") && all_words(domain, ".-") && all_words(domain.substr(dot + 1), "");
}

int64_t occurrences(string_view s, string_view part) {
  int64_t n = 0;
  for (size_t at = 0; (at = s.find(part, at)) != s.npos; at += part.size()) ++n;
  return n;
}

/// A word without the brackets before it and the punctuation after it, as long as its own brackets are balanced.
struct Word {
  std::string head, middle, tail;
  explicit Word(string_view s) {
    const auto take = [&](string_view part, bool front) {
      if (front ? !s.starts_with(part) : !s.ends_with(part)) return false;
      front ? head.append(part) : tail.insert(0, part);
      front ? s.remove_prefix(part.size()) : s.remove_suffix(part.size());
      return true;
    };
    while (take("(", true) || take("<", true) || take("&lt;", true)) {
    }
    while (take(")", false) || take(">", false) || take(".", false) || take(",", false) || take("&gt;", false)) {
    }
    middle = s;
    static constexpr std::pair<string_view, string_view> brackets[] = {{"(", ")"}, {"<", ">"}, {"&lt;", "&gt;"}};
    for (const auto& [open, close] : brackets) {
      const int64_t opened = occurrences(middle, open);
      if (opened <= occurrences(middle, close)) continue;
      for (int64_t n = std::min(opened, occurrences(tail, close)); n > 0; --n) {
        const size_t end = tail.find(close) + close.size();
        middle += tail.substr(0, end);
        tail.erase(0, end);
      }
    }
  }
};

struct LinkStyle {
  Value limit;             // characters of an address that are shown, or none
  std::string attributes;  // rel and target
  std::vector<std::string> schemes;
  Author author = Author::source;  // the least trusted of what stands here
};

std::string link(Heap& heap, const std::string& s, const LinkStyle& style) {
  const auto shown = [&]() -> std::string {
    if (style.limit.is_none() || !ordered(heap, CompareOp::greater, text_length(s), style.limit)) return s;
    return slice(heap, heap.text(s), None{}, style.limit, None{}).str()->text + "...";
  };
  if (is_url(s)) {
    const bool scheme = s.starts_with("https://") || s.starts_with("http://");
    return fmt::format("<a href=\"{}{}\"{}>{}</a>", scheme ? "" : "https://", s, style.attributes, shown());
  }
  if (s.starts_with("mailto:") && is_email(string_view(s).substr(7))) return fmt::format("<a href=\"{}\">{}</a>", s, s.substr(7));
  if (!s.starts_with("www.") && !s.starts_with('@') && s.find(':') == s.npos && is_email(s))
    return fmt::format("<a href=\"mailto:{}\">{}</a>", s, s);
  std::string out = s;
  for (const std::string& scheme : style.schemes) {
    heap.check_text(int64_t(out.size()));
    if (out != scheme && out.starts_with(scheme)) out = fmt::format("<a href=\"{}\"{}>{}</a>", out, style.attributes, out);
  }
  return out;
}

std::string attribute(Heap& heap, const char* name, const std::string& value) {
  return value.empty() ? "" : fmt::format(" {}=\"{}\"", name, escape_html(heap, heap.text(value)).text);
}

void check_scheme(const std::string& s) {
  const size_t colon = s.find(':');
  const string_view slashes = colon == s.npos ? "?" : string_view(s).substr(colon + 1);
  const bool good = colon != s.npos && text_length(s.substr(0, colon)) >= 2 && all_words(s.substr(0, colon), ".+-") &&
                    slashes.size() <= 2 && slashes.find_first_not_of('/') == slashes.npos;
  if (!good) raise("'{}' is not a valid URI scheme prefix.", s.substr(0, 80));
}

Value urlize(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("urlize", args, {"trim_url_limit", "nofollow", "target", "rel", "extra_schemes"});
  std::set<std::string> parts = {"noopener"};
  if (a.flag(1)) parts.insert("nofollow");
  if (a.has(3) && truth(a[3])) {
    for (const Value& word : iterate(in.heap, in.call(in.attribute(in.heap.text(a.text(3)), "split"), {})))
      parts.insert(word.str()->text);
  }
  LinkStyle style{a.get(0, None{}), "", {}};
  const auto written = [&](size_t i) {
    if (a.has(i) && a[i].str()) style.author = std::max(style.author, a[i].str()->authors.least());
  };
  written(2), written(3);
  style.attributes = attribute(in.heap, "rel", fmt::format("{}", fmt::join(parts, " ")));
  if (a.has(2) && truth(a[2])) style.attributes += attribute(in.heap, "target", to_text(in.heap, a[2]).text);
  if (a.has(4) && !a[4].is_none()) {
    for (const Value& scheme : iterate(in.heap, a[4])) {
      if (!scheme.str()) raise("urlize: a scheme must be a str, not {}", scheme.type_name());
      check_scheme(scheme.str()->text);
      style.schemes.push_back(scheme.str()->text);
    }
  }
  const Str whole = escape_html(in.heap, v);
  const std::string_view text = whole.text;
  in.heap.step(int64_t(text.size()));
  TextBuilder out(in.heap);
  for (size_t at = 0; at < text.size();) {
    size_t end = at, next = at;
    const bool space = is_space(next_code_point(text, next));
    for (next = at; end < text.size() && is_space(next_code_point(text, next)) == space;) end = next;
    const string_view run = text.substr(at, end - at);
    at = end;
    if (space) {
      out.add(whole, run);
      continue;
    }
    if (run.size() > 100'000) raise("urlize: a word of {} bytes is too long (limit 100000)", run.size());
    const Word word(run);
    const std::string shown = link(in.heap, word.middle, style);
    // A word stays as it is, or is shown as a link, all of which then counts as its least trusted author's.
    if (shown == word.middle)
      out.add(whole, run);
    else
      out.add(word.head + shown + word.tail, std::max(style.author, whole.least_author(run)));
  }
  return in.heap.text(out.take());
}

// --- striptags ---

Str without_tags(Heap& heap, const Str& whole) {
  const string_view s = whole.text;
  TextBuilder out(heap);
  size_t at = 0;
  for (size_t start; (start = s.find('<', at)) != s.npos;) {
    const bool comment = s.compare(start, 4, "<!--") == 0;
    const size_t end = comment ? find_text(s, "-->", start + 4) : s.find('>', start);
    if (end == s.npos) break;
    out.add(whole, s.substr(at, start - at));
    at = end + (comment ? 3 : 1);
  }
  out.add(whole, s.substr(at));
  return out.take();
}

Str collapse_space(Heap& heap, const Str& whole) {
  TextBuilder out(heap);
  for (string_view s = strip(whole.text); !s.empty(); s = strip_left(s)) {
    if (out.size() > 0) out.add(' ');
    size_t end = 0;
    for (size_t at = 0; at < s.size() && !is_space(next_code_point(s, at));) end = at;
    out.add(whole, s.substr(0, end));
    s.remove_prefix(end);
  }
  return out.take();
}

/// The character of a number, as HTML 5 reads it: old Windows codes are mapped, what is no character is left out.
std::string numeric_reference(uint64_t n) {
  static constexpr uint16_t windows[32] = {0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
                                           0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
                                           0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};
  std::string out;
  if (n >= 0x80 && n < 0xa0) n = windows[n - 0x80];
  if (n == 0 || n > 0x10ffff || (n >= 0xd800 && n < 0xe000)) n = 0xfffd;
  const bool control =
      (n < 0x20 && n != 9 && n != 10 && n != 12 && n != 13) || n == 0x7f || n == 0xb || is_noncharacter(char32_t(n));
  if (!control) append_code_point(out, char32_t(n));
  return out;
}

struct Entity {
  string_view text;
  bool without_semicolon;
};

const Entity* find_entity(string_view name) {
  static const auto table = [] {
    std::unordered_map<string_view, Entity> out;
    for (string_view all = html_entities(); !all.empty();) {
      const size_t middle = all.find('\2'), end = all.find('\1', middle);
      string_view key = all.substr(0, middle);
      const bool bare = key.ends_with('!');
      if (bare) key.remove_suffix(1);
      out.emplace(key, Entity{all.substr(middle + 1, end - middle - 1), bare});
      all.remove_prefix(end + 1);
    }
    return out;
  }();
  const auto it = table.find(name);
  return it == table.end() ? nullptr : &it->second;
}

/// The reference that follows an & at s[at], or "&" alone; `at` moves past what was read.
std::string reference(string_view s, size_t& at) {
  if (at < s.size() && s[at] == '#') {
    const bool hex = at + 1 < s.size() && (s[at + 1] | 32) == 'x';
    size_t end = at + 1 + hex;
    uint64_t n = 0;
    for (const size_t start = end; end < s.size() && (hex ? is_hex(s[end]) : is_ascii_digit(s[end])); ++end) {
      const int digit = is_ascii_digit(s[end]) ? s[end] - '0' : (s[end] | 32) - 'a' + 10;
      n = std::min<uint64_t>(n * (hex ? 16 : 10) + uint64_t(digit), 0x110000);
      if (end - start > 100'000) break;
    }
    if (end == at + 1 + hex) return "&";
    at = end + (end < s.size() && s[end] == ';');
    return numeric_reference(n);
  }
  size_t end = at;
  for (int n = 0; n < 32 && end < s.size() && string_view("\t\n\f <&#;").find(s[end]) == string_view::npos; ++n)
    next_code_point(s, end);
  if (end == at) return "&";
  const bool closed = end < s.size() && s[end] == ';';
  if (const Entity* e = find_entity(s.substr(at, end - at)); e && (closed || e->without_semicolon)) {
    at = end + closed;
    return std::string(e->text);
  }
  for (size_t part = end; part > at + 1; --part) {
    const Entity* e = find_entity(s.substr(at, part - at));
    if (!e || !e->without_semicolon) continue;
    at = part;
    return std::string(e->text);
  }
  return "&";
}

Value strip_tags(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("striptags", args, {});
  const Str given = to_text(in.heap, v);
  in.heap.step(int64_t(given.text.size() / 2));
  const Str whole = collapse_space(in.heap, without_tags(in.heap, given));
  const string_view text = whole.text;
  TextBuilder out(in.heap);
  for (size_t at = 0; at < text.size();) {
    const size_t sign = std::min(text.find('&', at), text.size());
    out.add(whole, text.substr(at, sign - at));
    if (sign == text.size()) break;
    at = sign + 1;
    const std::string meant = reference(text, at);
    out.add(meant, whole.least_author(text.substr(sign, at - sign)));
  }
  return in.heap.text(out.take());
}

// --- urlencode ---

void add_quoted(TextBuilder& out, const Str& whole, bool for_query) {
  whole.each_author(whole.text, [&](string_view s, Author who) {
    for (const char c : s) {
      const bool plain =
          is_ascii_digit(c) || is_ascii_letter(c) || string_view("_.-~").find(c) != string_view::npos || (c == '/' && !for_query);
      plain ? out.add(c, who) : c == ' ' && for_query ? out.add('+', who) : out.add(fmt::format("%{:02X}", uint8_t(c)), who);
    }
  });
}

Value url_encode(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("urlencode", args, {});
  TextBuilder out(in.heap);
  if (v.str() || !is_iterable(v)) {
    add_quoted(out, to_text(in.heap, v), false);
    return in.heap.text(out.take());
  }
  const auto pair = [&](const Value& key, const Value& value) {
    if (out.size() > 0) out.add("&");
    add_quoted(out, to_text(in.heap, key), true);
    out.add("=");
    add_quoted(out, to_text(in.heap, value), true);
  };
  if (v.dict()) {
    for (const auto& [key, value] : v.dict()->items()) pair(key, value);
  } else {
    for (const Value& item : iterate(in.heap, v)) {
      const auto parts = iterate(in.heap, item);
      if (parts.size() != 2) raise("urlencode: expected pairs of a key and a value, got {} values", parts.size());
      pair(parts[0], parts[1]);
    }
  }
  return in.heap.text(out.take());
}

}  // namespace

Filter find_html_filter(string_view name) {
  static const std::unordered_map<string_view, Filter> table = {
      {"xmlattr", xml_attributes}, {"urlize", urlize}, {"striptags", strip_tags}, {"urlencode", url_encode}};
  const auto it = table.find(name);
  return it == table.end() ? nullptr : it->second;
}

}  // namespace gale::jinja
