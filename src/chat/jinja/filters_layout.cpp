// Filters that lay text out: wordwrap (Python's textwrap) and pprint (Python's pprint, width 80).
#include <algorithm>

#include "chat/jinja/filters.h"
#include "chat/jinja/sorting.h"
#include "chat/jinja/text.h"

namespace gale::jinja {
namespace {

// --- wordwrap ---

struct WrapStyle {
  size_t width = 0;
  bool cuts_words = true;  ///< a width that is a float is no place to cut a word at
  bool break_long_words, break_on_hyphens;
};

using Letters = std::vector<std::string_view>;  // the characters of a line, each as its bytes

char32_t code_of(std::string_view one) {
  size_t at = 0;
  return next_code_point(one, at);
}
bool is_blank(std::string_view c) {
  return c.size() == 1 && std::string_view("\t\n\v\f\r ").find(c[0]) != std::string_view::npos;
}
bool is_word(std::string_view c) { return c == "_" || is_alnum(code_of(c)); }
bool is_letter(std::string_view c) { return is_word(c) && !is_decimal(code_of(c)); }
bool ends_clause(std::string_view c) {
  return is_word(c) || (c.size() == 1 && std::string_view("!\"'&.,?").find(c[0]) != std::string_view::npos);
}

/// Characters of a line, by number.
struct Chunk {
  size_t from, to;
  size_t size() const { return to - from; }
};

/// Cuts a line where textwrap may break it: between space, words, and the parts of hyphenated words.
class Chunks {
 public:
  Chunks(const Letters& line, bool hyphens) : s_(line), hyphens_(hyphens) {}

  std::vector<Chunk> cut() const {
    std::vector<Chunk> out;
    for (size_t at = 0, end = 0; at < s_.size(); at = end) {
      end = next(at);
      out.push_back({at, end});
    }
    return out;
  }

 private:
  bool has(size_t at, bool (*test)(std::string_view)) const { return at < s_.size() && test(s_[at]); }
  bool dash(size_t at) const { return at < s_.size() && s_[at] == "-"; }
  /// The end of two or more dashes between words that begin at `at`, or `at`.
  size_t long_dash(size_t at) const {
    if (at == 0 || !ends_clause(s_[at - 1]) || !dash(at) || !dash(at + 1)) return at;
    size_t end = at;
    while (dash(end)) ++end;
    return has(end, is_word) ? end : at;
  }
  /// Whether a word may be broken after the dash at `at`.
  bool hyphen(size_t at) const {
    const bool before = (at >= 2 && is_letter(s_[at - 1]) && is_letter(s_[at - 2])) ||
                        (at >= 3 && ends_clause(s_[at - 1]) && dash(at - 2) && is_letter(s_[at - 3]));
    return before && has(at + 1, is_letter) && (has(at + 2, is_letter) || (dash(at + 2) && has(at + 3, is_letter)));
  }
  size_t next(size_t from) const {
    size_t at = from;
    if (is_blank(s_[from])) {
      while (has(at, is_blank)) ++at;
      return at;
    }
    if (hyphens_ && long_dash(from) > from) return long_dash(from);
    for (++at; at < s_.size() && !is_blank(s_[at]); ++at) {
      if (!hyphens_) continue;
      if (dash(at) && hyphen(at)) return at + 1;
      if (long_dash(at) > at) return at;
    }
    return at;
  }

  const Letters& s_;
  bool hyphens_;
};

/// As many characters of a word longer than a line as this line takes.
size_t long_word_part(const Letters& letters, const Chunk& word, size_t room, const WrapStyle& style) {
  if (!style.break_on_hyphens || word.size() <= room) return std::min(room, word.size());
  const auto at = [&](size_t i) { return letters[word.from + i]; };
  for (size_t i = room; i-- > 1;) {
    if (at(i) != "-") continue;
    for (size_t before = 0; before < i; ++before)
      if (at(before) != "-") return i + 1;
    return room;
  }
  return room;
}

/// The lines that `line` becomes, each a part of it.
std::vector<std::string_view> wrap_line(Heap& heap, std::string_view line, const WrapStyle& style) {
  heap.step(int64_t(line.size()));
  heap.copy(int64_t(line.size()) * 64);
  const Letters letters = text_characters(line);
  std::vector<Chunk> chunks = Chunks(letters, style.break_on_hyphens).cut();
  std::reverse(chunks.begin(), chunks.end());
  const auto blank = [&](const Chunk& c) {
    return std::all_of(letters.begin() + std::ptrdiff_t(c.from), letters.begin() + std::ptrdiff_t(c.to),
                       [](auto one) { return is_space(code_of(one)); });
  };
  const size_t width = style.width;
  std::vector<std::string_view> lines;
  while (!chunks.empty()) {
    std::vector<Chunk> now;
    size_t used = 0;
    if (!lines.empty() && blank(chunks.back())) chunks.pop_back();
    while (!chunks.empty() && used + chunks.back().size() <= width) {
      used += chunks.back().size();
      now.push_back(chunks.back());
      chunks.pop_back();
    }
    if (!chunks.empty() && chunks.back().size() > width) {
      Chunk& word = chunks.back();
      if (style.break_long_words) {
        if (!style.cuts_words) raise("slice indices must be integers or None or have an __index__ method");
        const size_t part = long_word_part(letters, word, std::max<size_t>(width, 1) - used, style);
        now.push_back({word.from, word.from + part});
        word.from += part;
      } else if (now.empty()) {
        now.push_back(word);
        chunks.pop_back();
      }
    }
    if (!now.empty() && blank(now.back())) now.pop_back();
    heap.step(4);
    heap.take(64);
    if (now.empty()) continue;
    const std::string_view first = letters[now.front().from], last = letters[now.back().to - 1];  // chunks follow each other
    lines.emplace_back(first.data(), size_t(last.data() + last.size() - first.data()));
  }
  return lines;
}

void set_width(WrapStyle& style, const Value& width) {
  if (width.is_undefined()) width.raise_undefined();
  if (!width.is_number()) raise("wordwrap: the width is a '{}', no number", width.type_name());
  const double wide = width.number();
  if (!(wide > 0)) raise("invalid width {} (must be > 0)", wide);
  style.cuts_words = !width.is_float() || wide < 1;
  style.width = size_t(std::min(wide, 1e15));  // all lengths are integers, so what is behind the point does not count
}

Value word_wrap(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("wordwrap", args, {"width", "break_long_words", "wrapstring", "break_on_hyphens"});
  if (v.is_undefined()) v.raise_undefined();
  if (!v.str()) raise("wordwrap: a str is expected, not {}", v.type_name());
  WrapStyle style{.break_long_words = a.flag(1, true), .break_on_hyphens = a.flag(3, true)};
  const Str between = a.has(2) && !a[2].is_none() ? a.str(2) : Str{"\n"};
  TextBuilder out(in.heap);
  bool first = true;
  const auto lines = split_lines(v.str()->text);
  if (!lines.empty()) set_width(style, a.get(0, Value(int64_t(79))));
  for (const std::string_view line : lines) {
    if (!std::exchange(first, false)) out.add(between);
    bool first_part = true;
    for (const std::string_view part : wrap_line(in.heap, line, style)) {
      if (!std::exchange(first_part, false)) out.add(between);
      out.add(*v.str(), part);
    }
  }
  return in.heap.text(out.take());
}

// --- pprint ---

class Printer {
 public:
  explicit Printer(Heap& heap) : heap_(heap), out_(heap) {}
  Str print(const Value& v) {
    format(v, 0, 0, true);
    return out_.take();
  }

 private:
  static constexpr int64_t kWidth = 80;

  std::vector<const Dict::Item*> sorted(const Dict& d) {
    const auto less = [&](size_t x, size_t y) {
      const Value &a = d.items()[x].first, &b = d.items()[y].first;
      const bool same = (a.is_number() && b.is_number()) || (a.str() && b.str());
      return same ? ordered(heap_, CompareOp::less, a, b) : a.type_name() < b.type_name();
    };
    std::vector<const Dict::Item*> out;
    for (const size_t i : stable_order(d.size(), less)) out.push_back(&d.items()[i]);
    return out;
  }

  /// Python leaves types with a repr() of their own alone, as the pairs of |groupby.
  static bool is_plain_tuple(const Value& v) { return v.is_seq(SeqKind::tuple) && !v.seq()->group; }

  /// repr() with the keys of dicts in order.
  void add_repr(TextBuilder& out, const Value& v) {
    heap_.step();
    const bool items = v.is_seq(SeqKind::list) || is_plain_tuple(v);
    if (!items && !v.dict()) return append_repr(out, heap_, v);
    const bool list = v.is_seq(SeqKind::list);
    out.add(v.dict() ? "{" : list ? "[" : "(");
    bool first = true;
    const auto comma = [&] {
      if (!std::exchange(first, false)) out.add(", ");
    };
    if (v.dict()) {
      for (const auto* item : sorted(*v.dict())) {
        comma();
        add_repr(out, item->first);
        out.add(": ");
        add_repr(out, item->second);
      }
    } else {
      for (const Value& item : v.seq()->items) {
        comma();
        add_repr(out, item);
      }
    }
    out.add(v.dict() ? "}" : list ? "]" : v.seq()->items.size() == 1 ? ",)" : ")");
  }

  Str repr(const Value& v) {
    TextBuilder out(heap_);
    add_repr(out, v);
    return out.take();
  }
  Str repr(const Str& s, std::string_view inside) {
    TextBuilder out(heap_);
    append_repr(out, s, inside);
    return out.take();
  }

  void new_line(int64_t indent) {
    out_.add("\n");
    out_.repeat(Str{" "}, indent);
  }

  /// `after`: characters that follow on the last line.
  void format(const Value& v, int64_t indent, int64_t after, bool outermost = false) {
    const Str plain = repr(v);
    if (text_length(plain.text) <= kWidth - indent - after) return out_.add(plain);
    if (v.dict()) return format_dict(*v.dict(), indent, after + 1);
    if (v.is_seq(SeqKind::list)) return format_items(v.seq()->items, indent, after + 1, "[", "]");
    if (is_plain_tuple(v)) {
      const bool one = v.seq()->items.size() == 1;
      return format_items(v.seq()->items, indent, after + (one ? 2 : 1), "(", one ? ",)" : ")");
    }
    if (v.str() && !v.str()->markup) return format_text(*v.str(), indent, after, outermost);
    out_.add(plain);
  }

  void format_dict(const Dict& d, int64_t indent, int64_t after) {
    out_.add("{");
    const auto items = sorted(d);
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_.add(","), new_line(indent + 1);
      const Str key = repr(items[i]->first);
      out_.add(key);
      out_.add(": ");
      format(items[i]->second, indent + 1 + text_length(key.text) + 2, i + 1 == items.size() ? after : 1);
    }
    out_.add("}");
  }

  void format_items(const std::vector<Value>& items, int64_t indent, int64_t after, std::string_view open,
                    std::string_view close) {
    out_.add(open);
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_.add(","), new_line(indent + 1);
      format(items[i], indent + 1, i + 1 == items.size() ? after : 1);
    }
    out_.add(close);
  }

  /// A long line of a text, cut after spaces so that each part's repr() fits.
  void add_parts(std::vector<Str>& out, const Str& whole, std::string_view line, int64_t width, int64_t after) {
    size_t now = 0;  // where the part begins that is gathered
    for (size_t at = 0; at < line.size();) {
      size_t end = at, next = at;
      while (end < line.size() && !is_space(next_code_point(line, next))) end = next;
      next = end;
      while (end < line.size() && is_space(next_code_point(line, next))) end = next;
      const size_t part = std::exchange(at, end);
      if (at == line.size()) width -= after;
      heap_.step(int64_t((part - now) / 16) + 1);
      if (text_length(repr(whole, line.substr(now, end - now)).text) > width) {
        if (part > now) out.push_back(repr(whole, line.substr(now, part - now)));
        now = part;
      }
    }
    if (now < line.size()) out.push_back(repr(whole, line.substr(now)));
  }

  void format_text(const Str& s, int64_t indent, int64_t after, bool outermost) {
    if (outermost) ++indent, ++after;
    std::vector<Str> parts;
    const auto lines = split_lines(s.text, true);
    for (size_t i = 0; i < lines.size(); ++i) {
      const int64_t tail = i + 1 == lines.size() ? after : 0;
      Str whole = repr(s, lines[i]);
      if (text_length(whole.text) <= kWidth - indent - tail) {
        parts.push_back(std::move(whole));
      } else {
        add_parts(parts, s, lines[i], kWidth - indent, tail);
      }
    }
    if (parts.size() == 1) return out_.add(repr(s, lines.back()));
    if (outermost) out_.add("(");
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i > 0) new_line(indent);
      out_.add(parts[i]);
    }
    if (outermost) out_.add(")");
  }

  Heap& heap_;
  TextBuilder out_;
};

Value pretty(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("pprint", args, {});
  return in.heap.text(Printer(in.heap).print(v));
}

}  // namespace

Filter find_layout_filter(std::string_view name) { return name == "wordwrap" ? word_wrap : name == "pprint" ? pretty : nullptr; }

}  // namespace gale::jinja
