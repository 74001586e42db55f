// Methods of str that ask about a text, and the methods of lists, dicts and the other sequences.
#include <algorithm>

#include "chat/jinja/filters.h"
#include "chat/jinja/text.h"

namespace gale::jinja {
namespace {

/// The part of a text that find, count, startswith and the like look at, by their arguments start and end.
struct Window {
  std::string_view text;
  int64_t start;      ///< in characters
  bool valid = true;  ///< false where start lies after the end
};

Window window(Interpreter& in, const Value& self, const Bound& a, size_t first) {
  const std::string_view s = self.str()->text;
  in.heap.step(int64_t(s.size() / 64));
  const bool whole = (!a.has(first) || a[first].is_none()) && (!a.has(first + 1) || a[first + 1].is_none());
  if (whole) return {s, 0};
  const int64_t n = text_length(s);
  const auto bound = [&](size_t i, int64_t fallback) {
    int64_t v = a.has(i) && !a[i].is_none() ? a.integer(i, 0) : fallback;
    return v < 0 ? std::max<int64_t>(v + n, 0) : v;
  };
  const int64_t start = bound(first, 0), end = std::min(bound(first + 1, n), n);
  if (start > end) return {{}, start, false};
  const size_t from = text_offset(s, start);
  return {s.substr(from, text_offset(s, end) - from), start};
}

int64_t find_in(Interpreter& in, const Value& self, const Args& args, bool from_end) {
  const Bound a("find", args, {"sub", "start", "end"}, 1);
  const Window w = window(in, self, a, 1);
  const std::string& part = a.text(0);
  if (!w.valid) return -1;
  in.heap.step(search_cost(w.text, part));
  if (from_end) in.heap.step(int64_t(w.text.size() / 64 * (1 + part.size() / 64)));
  const size_t hit = from_end ? w.text.rfind(part) : find_text(w.text, part);
  return hit == w.text.npos ? -1 : w.start + text_length(w.text.substr(0, hit));
}

template <bool from_end>
Value find(Interpreter& in, const Value& self, const Args& args) {
  return find_in(in, self, args, from_end);
}
template <bool from_end>
Value index(Interpreter& in, const Value& self, const Args& args) {
  const int64_t at = find_in(in, self, args, from_end);
  if (at < 0) raise("substring not found");
  return at;
}

Value count(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("count", args, {"sub", "start", "end"}, 1);
  const Window w = window(in, self, a, 1);
  const std::string& part = a.text(0);
  if (!w.valid) return 0;
  in.heap.step(search_cost(w.text, part));
  if (part.empty()) return text_length(w.text) + 1;
  int64_t n = 0;
  for (size_t at = 0; (at = find_text(w.text, part, at)) != w.text.npos; at += part.size()) ++n;
  return n;
}

template <bool at_end>
Value has_affix(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("startswith", args, {"prefix", "start", "end"}, 1);
  const Window w = window(in, self, a, 1);
  const auto matches = [&](const Value& v) {
    if (v.is_undefined()) v.raise_undefined();
    if (!v.str()) raise("{} first arg must be str or a tuple of str, not {}", at_end ? "endswith" : "startswith", v.type_name());
    return w.valid && (at_end ? w.text.ends_with(v.str()->text) : w.text.starts_with(v.str()->text));
  };
  if (!a[0].is_seq(SeqKind::tuple)) return matches(a[0]);
  return std::any_of(a[0].seq()->items.begin(), a[0].seq()->items.end(), matches);
}

template <bool (*test)(char32_t)>
Value all_are(Interpreter& in, const Value& self, const Args& args) {
  const Bound none("str method", args, {});
  const std::string& s = self.str()->text;
  in.heap.step(int64_t(s.size() / 8));
  for (size_t at = 0; at < s.size();) {
    if (!test(next_code_point(s, at))) return false;
  }
  return !s.empty();
}

bool alphanumeric(char32_t c) { return is_alnum(c); }
bool ascii(char32_t c) { return c < 128; }
Value is_ascii(Interpreter& in, const Value& self, const Args& args) {
  return self.str()->text.empty() ? Value(true) : all_are<ascii>(in, self, args);
}
Value printable(Interpreter& in, const Value& self, const Args& args) {
  return self.str()->text.empty() ? Value(true) : all_are<is_printable>(in, self, args);
}
Value identifier(Interpreter& in, const Value& self, const Args& args) {
  const Bound none("isidentifier", args, {});
  in.heap.step(int64_t(self.str()->text.size() / 8));
  return is_identifier(self.str()->text);
}
Value all_lower(Interpreter& in, const Value& self, const Args& args) { return apply_test(in, "lower", self, args); }
Value all_upper(Interpreter& in, const Value& self, const Args& args) { return apply_test(in, "upper", self, args); }
Value is_title(Interpreter& in, const Value& self, const Args& args) {
  const Bound none("istitle", args, {});
  const std::string& s = self.str()->text;
  in.heap.step(int64_t(s.size() / 4));
  bool inside = false, found = false;
  for (size_t at = 0; at < s.size();) {
    const char32_t c = next_code_point(s, at);
    const bool capital = is_upper(c) || jinja::is_title(c);
    if (capital ? inside : is_lower(c) && !inside) return false;
    inside = capital || is_lower(c);
    found |= inside;
  }
  return found;
}

// --- lists, tuples, ranges ---

Value item_count(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("count", args, {"value"}, 1);
  const auto& items = self.seq()->items;
  return int64_t(std::count_if(items.begin(), items.end(), [&](const Value& v) { return equals(in.heap, v, a[0]); }));
}

Value item_index(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("index", args, {"value", "start", "stop"}, 1);
  const auto& items = self.seq()->items;
  const int64_t n = int64_t(items.size());
  const auto bound = [&](size_t i, int64_t fallback) {
    const int64_t v = a.integer(i, fallback);
    return std::clamp<int64_t>(v < 0 ? v + n : v, 0, n);
  };
  for (int64_t i = bound(1, 0); i < bound(2, n); ++i) {
    if (equals(in.heap, items[size_t(i)], a[0])) return i;
  }
  raise("the value is not in the {}", self.type_name());
}

Value copy(Interpreter&, const Value& self, const Args& args) {
  const Bound none("copy", args, {});
  return self;
}

// --- dicts ---

template <SeqKind kind>
Value view(Interpreter& in, const Value& self, const Args& args) {
  const Bound none("dict view", args, {});
  std::vector<Value> out;
  out.reserve(self.dict()->size());
  for (const auto& [key, value] : self.dict()->items()) {
    out.push_back(kind == SeqKind::keys ? key : kind == SeqKind::values ? value : in.heap.tuple({key, value}));
  }
  return in.heap.list(std::move(out), kind);
}

Value get(Interpreter& in, const Value& self, const Args& args) {
  if (!args.named.empty()) raise("dict.get() takes no keyword arguments");
  const Bound a("get", args, {"key", "default"}, 1);
  const Value* found = lookup(in.heap, *self.dict(), a[0]);
  return found ? *found : a.get(1, None{});
}

Value from_keys(Interpreter& in, const Value&, const Args& args) {
  const Bound a("fromkeys", args, {"iterable", "value"}, 1);
  Dict out;
  for (const Value& key : iterate(in.heap, a[0])) out.set(key, a.get(1, None{}));
  return in.heap.dict(std::move(out));
}

using Table = std::unordered_map<std::string_view, Method>;

Method in_table(const Table& table, std::string_view name) {
  const auto it = table.find(name);
  return it == table.end() ? nullptr : it->second;
}

}  // namespace

Method find_text_query(std::string_view name) {
  static const Table table = {{"find", find<false>},
                              {"rfind", find<true>},
                              {"index", index<false>},
                              {"rindex", index<true>},
                              {"count", count},
                              {"startswith", has_affix<false>},
                              {"endswith", has_affix<true>},
                              {"isdigit", all_are<is_digit>},
                              {"isdecimal", all_are<is_decimal>},
                              {"isnumeric", all_are<is_numeric>},
                              {"isalpha", all_are<is_alpha>},
                              {"isalnum", all_are<alphanumeric>},
                              {"isspace", all_are<is_space>},
                              {"isascii", is_ascii},
                              {"isprintable", printable},
                              {"isidentifier", identifier},
                              {"islower", all_lower},
                              {"isupper", all_upper},
                              {"istitle", is_title}};
  return in_table(table, name);
}

Method find_method(const Value& v, std::string_view name) {
  static const Table dicts = {{"items", view<SeqKind::items>},
                              {"keys", view<SeqKind::keys>},
                              {"values", view<SeqKind::values>},
                              {"get", get},
                              {"copy", copy},
                              {"fromkeys", from_keys}};
  static const Table lists = {{"count", item_count}, {"index", item_index}, {"copy", copy}};
  static const Table tuples = {{"count", item_count}, {"index", item_index}};
  if (v.str()) {
    const Method method = find_text_method(name);
    return method ? method : find_text_query(name);
  }
  if (v.is_number()) return find_number_method(v, name);
  if (v.dict()) return in_table(dicts, name);
  if (v.is_seq(SeqKind::list)) return in_table(lists, name);
  return v.is_seq(SeqKind::tuple) || v.is_seq(SeqKind::range) ? in_table(tuples, name) : nullptr;
}

bool is_hidden_method(const Value& v, std::string_view name) {
  static constexpr std::string_view of_lists[] = {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"};
  static constexpr std::string_view of_dicts[] = {"clear", "pop", "popitem", "setdefault", "update"};
  const auto named = [&](std::string_view hidden) { return hidden == name; };
  if (v.dict()) return std::any_of(std::begin(of_dicts), std::end(of_dicts), named);
  return v.is_seq(SeqKind::list) && std::any_of(std::begin(of_lists), std::end(of_lists), named);
}

}  // namespace gale::jinja
