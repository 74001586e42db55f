// Filters that give text or numbers.
#include <algorithm>
#include <cmath>

#include "chat/jinja/filters.h"
#include "chat/jinja/format.h"
#include "chat/jinja/json.h"
#include "chat/jinja/text.h"

namespace gale::jinja {
namespace {

using CaseChange = std::string (*)(std::string_view, Authors*);

Str changed(Str s, CaseChange f) {
  s.text = f(s.text, &s.authors);
  return s;
}

Value mapped(Interpreter& in, const Value& v, const char* name, const Args& args, CaseChange f) {
  const Bound none(name, args, {});
  Str s = soft_text(in.heap, v);
  in.heap.step(int64_t(s.text.size() / 16));
  return in.heap.text(changed(std::move(s), f));
}

Value upper(Interpreter& in, const Value& v, const Args& args) { return mapped(in, v, "upper", args, to_upper); }
Value lower(Interpreter& in, const Value& v, const Args& args) { return mapped(in, v, "lower", args, to_lower); }
Value capitalized(Interpreter& in, const Value& v, const Args& args) { return mapped(in, v, "capitalize", args, capitalize); }

/// Words begin after - ( { [ < or space, as jinja2's own title filter has it.
Value title(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("title", args, {});
  const Str whole = to_text(in.heap, v);
  const std::string_view s = whole.text;
  const auto splits = [](char32_t c) { return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c); };
  TextBuilder out(in.heap);
  size_t word = 0;
  for (size_t at = 0; at <= s.size();) {
    size_t next = at;
    const bool end = at == s.size() || splits(next_code_point(s, next));
    if (end) {
      const std::string_view text = s.substr(word, at - word);
      size_t first = 0;
      if (!text.empty()) next_code_point(text, first);
      out.add(changed(whole.part(text.substr(0, first)), to_upper));
      out.add(changed(whole.part(text.substr(first)), to_lower));
      out.add(whole, s.substr(at, next - at));
      word = next;
    }
    if (at == s.size()) break;
    at = next;
  }
  return in.heap.text(out.take());
}

Value trim(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("trim", args, {"chars"});
  const Str s = soft_text(in.heap, v);
  return in.heap.text(s.part(strip(s.text, a.optional_text(0))));
}

Value replace(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("replace", args, {"old", "new", "count"}, 2);
  const int64_t count = a.has(2) && !a[2].is_none() ? a.integer(2, -1) : -1;
  return in.heap.text(replace_text(in.heap, to_text(in.heap, v), to_text(in.heap, a[0]).text, to_text(in.heap, a[1]), count));
}

Value to_string(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("string", args, {});
  if (v.str()) return v;
  return in.heap.text(to_text(in.heap, v));
}

Str as_markup(Str s) {
  s.markup = true;
  return s;
}

Value safe(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("safe", args, {});
  return in.heap.text(as_markup(to_text(in.heap, v)));
}

Value escape(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("escape", args, {});
  return in.heap.text(as_markup(escape_html(in.heap, v)));
}

Value force_escape(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("forceescape", args, {});
  return in.heap.text(as_markup(escape_html(in.heap, in.heap.text(to_text(in.heap, v)))));
}

Value indent(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("indent", args, {"width", "first", "blank"});
  if (v.is_undefined()) v.raise_undefined();
  if (!v.str()) raise("indent: a str is expected, not {}", v.type_name());
  TextBuilder by(in.heap);
  if (a.has(0) && a[0].str()) {
    by.add(*a[0].str());
  } else {
    by.repeat(Str{" "}, a.integer(0, 4));
  }
  const Str indentation = by.take();
  TextBuilder with_end(in.heap);
  with_end.add(*v.str());
  with_end.add("\n");
  const Str text = with_end.take();
  const auto lines = split_lines(text.text);
  TextBuilder out(in.heap);
  if (a.flag(1)) out.add(indentation);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.add("\n");
    if (i > 0 && (a.flag(2) || !lines[i].empty())) out.add(indentation);
    out.add(text, lines[i]);
  }
  return in.heap.text(out.take(v.str()->markup));
}

Value word_count(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("wordcount", args, {});
  const std::string s = to_text(in.heap, v).text;
  in.heap.step(int64_t(s.size() / 4));  // letters are looked up in tables
  int64_t n = 0;
  bool inside = false;
  for (size_t at = 0; at < s.size();) {
    const char32_t c = next_code_point(s, at);
    const bool word = c == '_' || is_alnum(c);
    n += word && !inside;
    inside = word;
  }
  return n;
}

Value center(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("center", args, {"width"});
  const Str s = soft_text(in.heap, v);
  return in.heap.text(center_text(in.heap, s, a.integer(0, 80), Str{" "}));
}

Value truncate(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("truncate", args, {"length", "killwords", "end", "leeway"});
  const auto number = [&](size_t i, double fallback) {
    if (a.has(i) && !a[i].is_none() && !a[i].is_number()) raise("truncate: a number is expected, not {}", a[i].type_name());
    return a.has(i) && !a[i].is_none() ? a[i].number() : fallback;
  };
  const double limit = number(0, 255), leeway = number(3, 5);
  if (a.has(0) && a[0].is_none()) raise("truncate: a number is expected, not NoneType");
  const Str dots{"..."};
  const auto end_length = a.has(2) ? length(in.heap, a[2]) : 3;  // it need not be a text where nothing is cut off
  if (!end_length) raise("object of type '{}' has no len()", a[2].type_name());
  const int64_t end_size = *end_length;
  if (!(limit >= double(end_size)) || !(leeway >= 0)) raise("truncate: length {} or leeway {} is out of range", limit, leeway);
  const auto size = length(in.heap, v);
  if (!size) raise("object of type '{}' has no len()", v.type_name());
  if (double(*size) <= limit + leeway) return v;
  if (!v.str()) raise("truncate: a str is expected, not {}", v.type_name());
  const Str& end = a.has(2) ? a.str(2) : dots;
  const int64_t keep = a.integer(0, 255) - end_size;
  const std::string_view s = v.str()->text;
  std::string_view head = s.substr(0, text_offset(s, keep));
  if (!a.flag(1)) head = head.substr(0, head.rfind(' '));
  TextBuilder out(in.heap);
  out.add(*v.str(), head);
  out.add(end);
  return in.heap.text(out.take());
}

Value format(Interpreter& in, const Value& v, const Args& args) {
  if (!args.named.empty() && !args.positional.empty())
    raise("format: can't handle positional and keyword arguments at the same time");
  const Str s = soft_text(in.heap, v);
  if (args.named.empty()) return format_percent(in.heap, s, in.heap.tuple(args.positional));
  Dict named;
  for (const auto& [name, value] : args.named) named.set(in.heap.text(Str{name, false, args.names}), value);
  return format_percent(in.heap, s, in.heap.dict(std::move(named)));
}

Value to_json(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  DumpOptions options;
  options.ensure_ascii = a.flag(0);
  if (a.has(1) && !a[1].is_none() && !v.str()) {  // a text is written without a look at it
    const int64_t width = a[1].str() ? 0 : a.integer(1, 0);
    if (width > 1000) raise("tojson: an indent of {} is too wide (limit 1000)", width);
    options.indent = a[1].str() ? *a[1].str() : Str{std::string(size_t(std::max<int64_t>(width, 0)), ' ')};
    const size_t wide = options.indent->text.size();
    if (wide > 1000) raise("tojson: an indent of {} bytes is too wide (limit 1000)", wide);
    options.item_separator = {","};
  }
  if (a.has(2) && !a[2].is_none()) {
    const auto parts = iterate(in.heap, a[2]);
    if (parts.size() != 2 || !parts[0].str() || !parts[1].str()) raise("tojson: separators must be two texts");
    options.item_separator = *parts[0].str();
    options.key_separator = *parts[1].str();
  }
  options.sort_keys = a.flag(3);
  return in.heap.text(dump_json(in.heap, v, options));
}

/// Python's int() of a number or text; nothing where it raises ValueError or TypeError.
std::optional<int64_t> as_integer(const Value& v, int base) {
  if (v.is_int()) return v.integer();
  if (v.str()) return base == 0 || (base >= 2 && base <= 36) ? parse_int(v.str()->text, base) : std::nullopt;
  if (!v.is_float() || !std::isfinite(v.number())) return std::nullopt;
  if (std::abs(v.number()) >= 9.2e18) raise("integer {} does not fit in 64 bits", v.number());
  return int64_t(v.number());
}

Value to_int(Interpreter&, const Value& v, const Args& args) {
  const Bound a("int", args, {"default", "base"});
  if (v.is_undefined()) v.raise_undefined();
  const int64_t base = !a.has(1) ? 10 : a[1].is_int() ? a[1].integer() : -1;  // a wrong base makes no text a number
  if (const auto n = as_integer(v, int(std::clamp<int64_t>(base, -1, 100)))) return *n;
  const auto d = v.str() ? parse_float(v.str()->text) : std::nullopt;
  if (d && std::isfinite(*d)) return *as_integer(*d, 10);
  return a.get(0, 0);
}

Value to_float(Interpreter&, const Value& v, const Args& args) {
  const Bound a("float", args, {"default"});
  if (v.is_undefined()) v.raise_undefined();
  if (v.is_number()) return v.number();
  const auto d = v.str() ? parse_float(v.str()->text) : std::nullopt;
  return d ? Value(*d) : a.get(0, 0.0);
}

Value absolute(Interpreter&, const Value& v, const Args& args) {
  const Bound none("abs", args, {});
  if (!v.is_number()) raise("bad operand type for abs(): '{}'", v.type_name());
  if (v.is_float()) return std::abs(v.number());
  return v.integer() < 0 ? negate(v) : Value(v.integer());
}

/// Python's f"{v:.1f}", which writes infinities as words.
std::string fixed(double v, int precision) { return std::isfinite(v) ? fmt::format("{:.{}f}", v, precision) : float_repr(v); }

/// round(x, precision) with halves to even, through the exact decimal expansion as Python does.
double round_decimal(double v, int64_t precision) {
  if (!std::isfinite(v) || precision > 300) return v;
  if (precision < -308) return std::copysign(0.0, v);
  if (precision <= 0) {
    const double unit = std::pow(10.0, double(-precision));
    return std::nearbyint(v / unit) * unit;
  }
  const auto d = parse_float(fmt::format("{:.{}f}", v, precision));
  return d ? *d : v;
}

Value round(Interpreter&, const Value& v, const Args& args) {
  const Bound a("round", args, {"precision", "method"});
  const std::string method = a.has(1) ? a.text(1) : "common";
  if (method != "common" && method != "ceil" && method != "floor") raise("method must be common, ceil or floor");
  if (!v.is_number()) raise("type {} doesn't define __round__ method", v.type_name());
  if (method != "common") {
    if (a.has(0) && !a[0].is_number()) raise("round: a number is expected, not {}", a[0].type_name());
    if (!v.is_float() && (!a.has(0) || (a[0].is_int() && a[0].integer() >= 0))) return double(v.integer());  // exact in Python
    const double unit = std::pow(10.0, a.has(0) ? a[0].number() : 0);
    const double scaled = v.number() * unit;
    return ((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) + 0.0) / unit;  // from an int of Python's: no -0
  }
  const int64_t precision = a.integer(0, 0);
  if (v.is_float()) return round_decimal(v.number(), precision);
  if (precision >= 0) return v.integer();
  const double rounded = round_decimal(v.number(), precision);
  if (std::abs(rounded) >= 9.2e18) raise("integer overflow in round");
  return int64_t(rounded);
}

Value file_size(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("filesizeformat", args, {"binary"});
  if (v.is_undefined()) v.raise_undefined();
  const auto read = v.is_number() ? std::optional(v.number()) : v.str() ? parse_float(v.str()->text) : std::nullopt;
  if (!read) raise("filesizeformat: a number is expected, not {}", v.type_name());
  const double bytes = *read, base = a.flag(0) ? 1024 : 1000;
  if (bytes == 1) return in.heap.text("1 Byte");
  if (bytes < base) {
    if (std::abs(bytes) >= 9.2e18) raise("integer {} does not fit in 64 bits", bytes);
    return in.heap.text(fmt::format("{} Bytes", int64_t(bytes)));
  }
  static constexpr double thousands[] = {1e6, 1e9, 1e12, 1e15, 1e18, 1e21, 1e24, 1e27};
  size_t i = 0;
  const auto unit = [&] { return a.flag(0) ? std::ldexp(1.0, 10 * (int(i) + 2)) : thousands[i]; };
  while (i < 7 && !(bytes < unit())) ++i;
  return in.heap.text(fmt::format("{} {}{}", fixed(base * bytes / unit(), 1),
                                  "kMGTPEZY"[i] == 'k' && a.flag(0) ? 'K' : "kMGTPEZY"[i], a.flag(0) ? "iB" : "B"));
}

/// The first element, which is one that Python may choose too: the same messages must give the same prompt.
Value random(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("random", args, {});
  const auto n = length(in.heap, v);
  if (!n) raise("object of type '{}' has no len()", v.type_name());
  if (*n == 0) return Value::undefined("No random item, sequence was empty.");
  if (!v.str() && (!v.seq() || v.seq()->kind > SeqKind::range)) raise("'{}' has no element 0", v.type_name());
  return *element(in.heap, v, 0);
}

}  // namespace

Filter find_text_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Filter> table = {{"upper", upper},
                                                                     {"lower", lower},
                                                                     {"capitalize", capitalized},
                                                                     {"title", title},
                                                                     {"trim", trim},
                                                                     {"replace", replace},
                                                                     {"string", to_string},
                                                                     {"safe", safe},
                                                                     {"escape", escape},
                                                                     {"e", escape},
                                                                     {"forceescape", force_escape},
                                                                     {"indent", indent},
                                                                     {"wordcount", word_count},
                                                                     {"center", center},
                                                                     {"truncate", truncate},
                                                                     {"format", format},
                                                                     {"filesizeformat", file_size},
                                                                     {"random", random},
                                                                     {"tojson", to_json},
                                                                     {"int", to_int},
                                                                     {"float", to_float},
                                                                     {"abs", absolute},
                                                                     {"round", round}};
  const auto it = table.find(name);
  return it == table.end() ? nullptr : it->second;
}

}  // namespace gale::jinja
