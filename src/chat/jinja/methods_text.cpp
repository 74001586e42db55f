// Methods of str that give text or lists of it. Those that ask about a text are in methods_query.cpp.
#include "chat/jinja/filters.h"
#include "chat/jinja/format.h"
#include "chat/jinja/text.h"

namespace gale::jinja {

Str replace_text(Heap& heap, const Str& whole, std::string_view from, const Str& to, int64_t count) {
  TextBuilder out(heap);
  const std::string_view s = whole.text;
  heap.step(search_cost(s, from));
  if (from.empty()) {  // before every character, and at the end
    size_t at = 0;
    for (; count != 0; --count) {
      out.add(to);
      if (at == s.size()) return out.take(whole.markup);
      const size_t start = at;
      next_code_point(s, at);
      out.add(whole, s.substr(start, at - start));
    }
    out.add(whole, s.substr(at));
    return out.take(whole.markup);
  }
  size_t at = 0;
  for (size_t hit; count != 0 && (hit = find_text(s, from, at)) != s.npos; --count) {
    heap.step();
    out.add(whole, s.substr(at, hit - at));
    out.add(to);
    at = hit + from.size();
  }
  out.add(whole, s.substr(at));
  return out.take(whole.markup);
}

Str center_text(Heap& heap, const Str& s, int64_t width, const Str& fill) {
  heap.check_text(width);
  const int64_t missing = width - text_length(s.text);
  if (missing <= 0) return s;
  const int64_t left = missing / 2 + (missing & width & 1);
  TextBuilder out(heap);
  out.repeat(fill, left);
  out.add(s);
  out.repeat(fill, missing - left);
  return out.take(s.markup);
}

namespace {

const std::string& text_of(const Value& v) { return v.str()->text; }
/// `inside` lies in self's text.
Value part_of(Interpreter& in, const Value& self, std::string_view inside) { return in.heap.text(self.str()->part(inside)); }
/// What was built from self's text and others.
Value like(Interpreter& in, const Value& self, TextBuilder& out) { return in.heap.text(out.take(self.str()->markup)); }

template <std::string (*f)(std::string_view, Authors*)>
Value mapped(Interpreter& in, const Value& self, const Args& args) {
  const Bound none("str method", args, {});
  Str out{"", self.str()->markup, self.str()->authors};
  out.text = f(text_of(self), &out.authors);
  return in.heap.text(std::move(out));
}

template <bool left, bool right>
Value stripped(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("strip", args, {"chars"});
  std::string_view s = text_of(self);
  const auto chars = a.optional_text(0);
  if (chars) in.heap.step(int64_t(s.size() / 16) * int64_t(1 + chars->size() / 64));
  if (right) s = strip_right(s, chars);
  if (left) s = strip_left(s, chars);
  return part_of(in, self, s);
}

Value pieces(Interpreter& in, const Value& self, const std::vector<std::string_view>& parts) {
  in.heap.check_items(int64_t(parts.size()));
  std::vector<Value> out;
  for (const std::string_view part : parts) {
    in.heap.step();
    out.push_back(part_of(in, self, part));
  }
  return in.heap.list(std::move(out));
}

std::string_view separator_of(const Bound& a, size_t i) {
  const std::string_view s = a.text(i);
  if (s.empty()) raise("empty separator");
  return s;
}

Value split(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("split", args, {"sep", "maxsplit"});
  std::string_view s = text_of(self);
  int64_t left = a.integer(1, -1);
  std::vector<std::string_view> parts;
  const auto room = [&] { in.heap.check_items(int64_t(parts.size())); };
  if (!a.has(0) || a[0].is_none()) {
    for (s = strip_left(s); !s.empty(); s = strip_left(s)) {
      room();
      size_t end = 0;
      for (size_t at = 0; at < s.size() && !is_space(next_code_point(s, at));) end = at;
      if (left-- == 0) {
        parts.push_back(s);
        break;
      }
      parts.push_back(s.substr(0, end));
      s.remove_prefix(end);
    }
    return pieces(in, self, parts);
  }
  const std::string_view separator = separator_of(a, 0);
  in.heap.step(search_cost(s, separator));
  size_t at = 0;
  for (size_t hit; left-- != 0 && (hit = find_text(s, separator, at)) != s.npos; at = hit + separator.size()) {
    room();
    parts.push_back(s.substr(at, hit - at));
  }
  parts.push_back(s.substr(at));
  return pieces(in, self, parts);
}

/// s.rfind(part, from) at a cost that is counted: going backwards, long parts may nearly match everywhere.
size_t find_last(Interpreter& in, std::string_view s, std::string_view part, size_t from = std::string_view::npos) {
  in.heap.step(int64_t(s.size() / 64 * (1 + part.size() / 64)));
  return s.rfind(part, from);
}

Value rsplit(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("rsplit", args, {"sep", "maxsplit"});
  std::string_view s = text_of(self);
  int64_t left = a.integer(1, -1);
  if (left < 0) return split(in, self, Args{{a.get(0, None{})}, {}});
  std::vector<std::string_view> parts;
  const bool spaces = !a.has(0) || a[0].is_none();
  const std::string_view separator = spaces ? std::string_view() : separator_of(a, 0);
  if (spaces) s = strip_right(s);
  while (left-- > 0 && !s.empty()) {
    in.heap.check_items(int64_t(parts.size()));
    if (spaces) {
      size_t start = s.size();
      std::string_view rest = s;
      while (!rest.empty() && strip_right(rest).size() == rest.size()) {  // one character back
        do rest.remove_suffix(1);
        while (!rest.empty() && (uint8_t(s[rest.size()]) & 0xc0) == 0x80);
        start = rest.size();
      }
      parts.push_back(s.substr(start));
      s = strip_right(s.substr(0, start));
    } else {
      const size_t hit = find_last(in, s, separator);
      if (hit == s.npos) break;
      parts.push_back(s.substr(hit + separator.size()));
      s = s.substr(0, hit);
    }
  }
  if (!s.empty() || !spaces) parts.push_back(s);
  return pieces(in, self, {parts.rbegin(), parts.rend()});
}

Value split_by_lines(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("splitlines", args, {"keepends"});
  const int64_t keep = a.integer(0, 0);
  if (keep != int32_t(keep)) raise("splitlines(): {} is too large for a C int", keep);
  return pieces(in, self, split_lines(text_of(self), keep != 0));
}

template <bool from_end>
Value partition(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("partition", args, {"sep"}, 1);
  const std::string_view s = text_of(self);
  const std::string_view separator = separator_of(a, 0);
  in.heap.step(search_cost(s, separator));
  const size_t hit = from_end ? find_last(in, s, separator) : find_text(s, separator);
  std::vector<Value> out;
  if (hit == s.npos) {
    out = {self, Value::constant(""), Value::constant("")};
    if (from_end) std::swap(out[0], out[2]);
  } else {
    out = {part_of(in, self, s.substr(0, hit)), part_of(in, self, s.substr(hit, separator.size())),
           part_of(in, self, s.substr(hit + separator.size()))};
  }
  return in.heap.tuple(std::move(out));
}

Value replace(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("replace", args, {"old", "new", "count"}, 2);
  return in.heap.text(replace_text(in.heap, *self.str(), a.text(0), a.str(1), a.integer(2, -1)));
}

Value join(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("join", args, {"iterable"}, 1);
  TextBuilder out(in.heap);
  size_t i = 0;
  for (const Value& item : iterate(in.heap, a[0])) {
    if (!item.str()) raise("sequence item {}: expected str instance, {} found", i, item.type_name());
    if (i++ > 0) out.add(*self.str());
    self.str()->markup ? out.add(escape_html(in.heap, item)) : out.add(*item.str());
  }
  return like(in, self, out);
}

Value remove_prefix(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("removeprefix", args, {"prefix"}, 1);
  const std::string_view s = text_of(self);
  return part_of(in, self, s.starts_with(a.text(0)) ? s.substr(a.text(0).size()) : s);
}
Value remove_suffix(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("removesuffix", args, {"suffix"}, 1);
  const std::string_view s = text_of(self);
  return part_of(in, self, s.ends_with(a.text(0)) ? s.substr(0, s.size() - a.text(0).size()) : s);
}

/// ljust, rjust and center.
template <int side>
Value justify(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("justify", args, {"width", "fillchar"}, 1);
  const Str fill = a.has(1) ? a.str(1) : Str{" "};
  if (text_length(fill.text) != 1) raise("the fill character must be exactly one character long");
  const Str& s = *self.str();
  const int64_t width = a.integer(0, 0);
  if (side == 0) return in.heap.text(center_text(in.heap, s, width, fill));
  in.heap.check_text(width);
  TextBuilder out(in.heap);
  if (side > 0) out.repeat(fill, width - text_length(s.text));
  out.add(s);
  if (side < 0) out.repeat(fill, width - text_length(s.text));
  return like(in, self, out);
}

Value zero_fill(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("zfill", args, {"width"}, 1);
  const std::string& s = text_of(self);
  in.heap.check_text(a.integer(0, 0));
  TextBuilder out(in.heap);
  const bool sign = !s.empty() && (s[0] == '-' || s[0] == '+');
  if (sign) out.add(*self.str(), std::string_view(s).substr(0, 1));
  out.repeat(Str{"0"}, a.integer(0, 0) - text_length(s));
  out.add(*self.str(), std::string_view(s).substr(sign ? 1 : 0));
  return like(in, self, out);
}

Value lookup_field(Interpreter& in, const Value& v, const Value& key, bool is_attribute) {
  return is_attribute ? in.attribute(v, key.str()->text) : in.item(v, key);
}

Value format(Interpreter& in, const Value& self, const Args& args) {
  return format_braces(in.heap, in, lookup_field, *self.str(), args);
}

Value format_map(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("format_map", args, {"mapping"}, 1);
  if (!args.named.empty()) raise("format_map() takes no keyword arguments");
  Args named;  // of anything but a dict, whose fields are looked for in vain
  if (a[0].dict())
    for (const auto& [key, value] : a[0].dict()->items())
      if (key.str()) named.named.emplace_back(key.str()->text, value);
  return format_braces(in.heap, in, lookup_field, *self.str(), named);
}

Value expand_tabs(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("expandtabs", args, {"tabsize"});
  const int64_t size = a.integer(0, 8);
  TextBuilder out(in.heap);
  int64_t column = 0;
  const std::string& s = text_of(self);
  in.heap.step(int64_t(s.size() / 4));
  for (size_t at = 0; at < s.size();) {
    const size_t from = at;
    const char32_t c = next_code_point(s, at);
    if (c == '\t') {
      const int64_t n = size > 0 ? size - column % size : 0;
      out.repeat(Str{" "}, n);
      column += n;
    } else {
      out.add(*self.str(), std::string_view(s).substr(from, at - from));
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
  }
  return like(in, self, out);
}

/// Each character by what the table has for its number: a number, a text, or none, which drops it.
Value translate(Interpreter& in, const Value& self, const Args& args) {
  const Bound a("translate", args, {"table"}, 1);
  if (a[0].is_undefined()) a[0].raise_undefined();
  TextBuilder out(in.heap);
  const std::string& s = text_of(self);
  if (!s.empty() && !a[0].dict() && !a[0].seq() && !a[0].str()) raise("'{}' object is not subscriptable", a[0].type_name());
  for (size_t at = 0; at < s.size();) {
    const size_t from = at;
    const int64_t c = int64_t(next_code_point(s, at));
    in.heap.step();
    const Value* found = a[0].dict() ? lookup(in.heap, *a[0].dict(), c) : nullptr;
    const auto held = a[0].dict() ? std::nullopt : element(in.heap, a[0], c);
    if (!found && held) found = &*held;
    if (!found) {
      out.add(*self.str(), std::string_view(s).substr(from, at - from));
    } else if (found->str()) {
      out.add(*found->str());
    } else if (found->is_int()) {
      if (found->integer() < 0 || found->integer() > 0x10ffff) raise("character mapping must be in range(0x110000)");
      std::string one;
      append_code_point(one, char32_t(found->integer()));
      out.add(one, Author::person);  // numbers do not say whose they are
    } else if (!found->is_none()) {
      raise("character mapping must return integer, None or str");
    }
  }
  return like(in, self, out);
}

/// str.maketrans: a table for translate.
Value make_table(Interpreter& in, const Value&, const Args& args) {
  const Bound a("maketrans", args, {"x", "y", "z"}, 1);
  const auto code = [](std::string_view one) {
    size_t at = 0;
    return Value(int64_t(next_code_point(one, at)));
  };
  Dict out;
  if (!a.has(1)) {
    if (!a[0].dict()) raise("if you give only one argument to maketrans it must be a dict");
    for (const auto& [key, value] : a[0].dict()->items()) {
      if (key.str() && text_length(key.str()->text) != 1) raise("string keys in translate table must be of length 1");
      if (!key.str() && !key.is_int()) raise("keys in translate table must be strings or integers");
      out.set(key.str() ? code(key.str()->text) : key, value);
    }
    return in.heap.dict(std::move(out));
  }
  const auto from = text_characters(a.text(0)), to = text_characters(a.text(1));
  if (from.size() != to.size()) raise("the first two maketrans arguments must have equal length");
  for (size_t i = 0; i < from.size(); ++i) out.set(code(from[i]), code(to[i]));
  if (a.has(2))
    for (const std::string_view c : text_characters(a.text(2))) out.set(code(c), None{});
  return in.heap.dict(std::move(out));
}

Value encode(Interpreter&, const Value&, const Args&) { raise("str.encode() is not supported: a template has no bytes"); }

}  // namespace

Method find_text_method(std::string_view name) {
  static const std::unordered_map<std::string_view, Method> table = {{"upper", mapped<to_upper>},
                                                                     {"lower", mapped<to_lower>},
                                                                     {"casefold", mapped<fold_case>},
                                                                     {"title", mapped<title_case>},
                                                                     {"capitalize", mapped<capitalize>},
                                                                     {"swapcase", mapped<swap_case>},
                                                                     {"strip", stripped<true, true>},
                                                                     {"lstrip", stripped<true, false>},
                                                                     {"rstrip", stripped<false, true>},
                                                                     {"split", split},
                                                                     {"rsplit", rsplit},
                                                                     {"splitlines", split_by_lines},
                                                                     {"partition", partition<false>},
                                                                     {"rpartition", partition<true>},
                                                                     {"replace", replace},
                                                                     {"join", join},
                                                                     {"removeprefix", remove_prefix},
                                                                     {"removesuffix", remove_suffix},
                                                                     {"ljust", justify<-1>},
                                                                     {"rjust", justify<1>},
                                                                     {"center", justify<0>},
                                                                     {"zfill", zero_fill},
                                                                     {"format", format},
                                                                     {"format_map", format_map},
                                                                     {"expandtabs", expand_tabs},
                                                                     {"translate", translate},
                                                                     {"maketrans", make_table},
                                                                     {"encode", encode}};
  const auto it = table.find(name);
  return it == table.end() ? nullptr : it->second;
}

}  // namespace gale::jinja
