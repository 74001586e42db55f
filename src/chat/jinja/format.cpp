#include "chat/jinja/format.h"

#include <algorithm>
#include <cmath>

#include "chat/jinja/operators.h"
#include "chat/jinja/text.h"

namespace gale::jinja {
namespace {

constexpr int64_t kMaxWidth = 10000;

/// One conversion: what both % and format() boil down to.
struct Spec {
  Str fill = {" "};
  char align = 0;  // < > ^ =, 0: the type's own
  char sign = 0;   // + - or a space, 0: none was asked for
  char group = 0;
  char type = 0;
  bool alternate = false;
  bool no_negative_zero = false;
  int64_t width = 0;
  int64_t precision = -1;
};

int64_t read_number(std::string_view s, size_t& at, int64_t absent) {
  if (at == s.size() || s[at] < '0' || s[at] > '9') return absent;
  int64_t n = 0;
  for (; at < s.size() && s[at] >= '0' && s[at] <= '9'; ++at) {
    n = n * 10 + (s[at] - '0');
    if (n > kMaxWidth) raise("a width or precision of more than {} is not supported", kMaxWidth);
  }
  return n;
}

/// The digits `text` begins with in groups of `each`. Zeros that fill the width, less the `sign`, are digits too.
std::string group_digits(const Spec& spec, std::string text, size_t sign, size_t each = 3) {
  size_t end = each == 3 ? std::min(text.find_first_not_of("0123456789"), text.size()) : text.size();
  const bool zeros = spec.align == '=' && spec.fill.text == "0" && end > 0;
  while (zeros && int64_t(text.size() + (end - 1) / each + sign) < spec.width) text.insert(0, 1, '0'), ++end;
  for (size_t i = end; i > each; i -= each) text.insert(i - each, 1, spec.group);
  return text;
}

/// Pads `body` to the width; `sign` goes before the padding where the alignment is '='.
Str pad(Heap& heap, const Spec& spec, const std::string& sign, const Str& body, char own_align) {
  const char align = spec.align ? spec.align : own_align;
  const int64_t missing = std::max<int64_t>(0, spec.width - text_length(sign) - text_length(body.text));
  const int64_t before = align == '<' || align == '=' ? 0 : align == '^' ? missing / 2 : missing;
  const int64_t between = align == '=' ? missing : 0;
  TextBuilder out(heap);
  out.repeat(spec.fill, before);
  out.add(sign);
  out.repeat(spec.fill, between);
  out.add(body);
  out.repeat(spec.fill, missing - before - between);
  return out.take();
}

std::string sign_of(const Spec& spec, bool negative) {
  if (negative) return "-";
  return spec.sign == '+' || spec.sign == ' ' ? std::string(1, spec.sign) : "";
}

Str format_float(Heap& heap, const Spec& spec, double v) {
  if (spec.precision > 400) raise("a precision of more than 400 is not supported for numbers");
  const char type = spec.type == '%' || spec.type == 'F' ? 'f' : spec.type == 'n' ? 'g' : spec.type == 0 ? 'r' : spec.type;
  const double size = std::abs(v) * (spec.type == '%' ? 100 : 1);
  std::string body;
  if (!std::isfinite(v)) {
    body = std::isnan(v) ? "nan" : "inf";
  } else if (type == 'r' && spec.precision < 0) {
    body = float_repr(size);
  } else {
    char buffer[800];
    const char plain[] = {'%', '.', '*', type == 'r' ? 'g' : type, 0}, full[] = {'%', '#', '.', '*', type == 'r' ? 'g' : type, 0};
    std::snprintf(buffer, sizeof buffer, spec.alternate ? full : plain, spec.precision < 0 ? 6 : int(spec.precision), size);
    body = buffer;
    if (type == 'r' && body.find_first_of(".e") == std::string::npos) body += ".0";
  }
  if (spec.type == '%') body += '%';
  const bool zero = body.find_first_of("123456789inf") == std::string::npos;
  const std::string sign = sign_of(spec, std::signbit(v) && !std::isnan(v) && !(zero && spec.no_negative_zero));
  if (spec.group) body = group_digits(spec, std::move(body), sign.size());
  return pad(heap, spec, sign, {body}, '>');
}

Str format_integer(Heap& heap, const Spec& spec, int64_t v) {
  const uint64_t size = v < 0 ? 0 - uint64_t(v) : uint64_t(v);
  std::string body, prefix;
  switch (spec.type) {
    case 'x':
      body = fmt::format("{:x}", size);
      break;
    case 'X':
      body = fmt::format("{:X}", size);
      break;
    case 'o':
      body = fmt::format("{:o}", size);
      break;
    case 'b':
      body = fmt::format("{:b}", size);
      break;
    default:
      body = std::to_string(size);
  }
  const bool prefixed = spec.type != 0 && std::string_view("xXob").find(spec.type) != std::string_view::npos;
  if (spec.alternate && prefixed) prefix = std::string("0") + spec.type;
  if (spec.precision > int64_t(body.size())) body.insert(0, size_t(spec.precision) - body.size(), '0');
  const std::string sign = sign_of(spec, v < 0) + prefix;
  if (spec.group) body = group_digits(spec, std::move(body), sign.size(), prefixed ? 4 : 3);
  return pad(heap, spec, sign, {body}, '>');
}

Str format_text(Heap& heap, const Spec& spec, const Str& text, char own_align) {
  if (spec.precision < 0) return pad(heap, spec, "", text, own_align);
  const std::string_view all = text.text;
  return pad(heap, spec, "", text.part(all.substr(0, text_offset(all, spec.precision))), own_align);
}

Str one_character(const Value& v) {
  if (v.str() && text_length(v.str()->text) == 1) return *v.str();
  if (!v.is_int() || v.integer() < 0 || v.integer() > 0x10ffff || (v.integer() >= 0xd800 && v.integer() < 0xe000)) {
    raise("%c requires int or char");
  }
  std::string out;
  append_code_point(out, char32_t(v.integer()));
  return {out, false, Author::person};  // a number does not say whose it is
}

Str repr_text(Heap& heap, const Value& v) {
  TextBuilder out(heap);
  append_repr(out, heap, v);
  return out.take();
}

/// Python's ascii(): the repr with escapes for what is not ASCII.
Str ascii_text(Heap& heap, const Value& v) {
  const Str whole = repr_text(heap, v);
  TextBuilder out(heap);
  whole.each_author(whole.text, [&](std::string_view text, Author who) {
    for (size_t at = 0; at < text.size();) {
      const auto code = uint32_t(next_code_point(text, at));
      if (code < 0x80)
        out.add(char(code), who);
      else
        out.add(code < 0x100     ? fmt::format("\\x{:02x}", code)
                : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                                 : fmt::format("\\U{:08x}", code),
                who);
    }
  });
  return out.take();
}

/// The conversion of one value by a letter of the % operator.
Str convert(Heap& heap, const Spec& spec, const Value& v, bool markup) {
  switch (spec.type) {
    case 's':
      return format_text(heap, spec, markup ? escape_html(heap, v) : to_text(heap, v), '>');
    case 'r':
      return format_text(heap, spec, repr_text(heap, v), '>');
    case 'a':
      return format_text(heap, spec, ascii_text(heap, v), '>');
    case 'c':
      return format_text(heap, spec, one_character(v), '>');
    default:
      break;
  }
  if (!v.is_number()) raise("%{} format: a real number is required, not {}", spec.type, v.type_name());
  const bool whole = std::string_view("diuxXo").find(spec.type) != std::string_view::npos;
  if (!whole) return format_float(heap, spec, v.number());
  if (v.is_float() && !std::isfinite(v.number())) raise("cannot convert float to integer");
  if (v.is_float() && std::abs(v.number()) >= 9.2e18) raise("integer {} does not fit in 64 bits", v.number());
  if (v.is_float() && std::string_view("xXo").find(spec.type) != std::string_view::npos) {
    raise("%{} format: an integer is required, not float", spec.type);
  }
  return format_integer(heap, spec, v.is_float() ? int64_t(v.number()) : v.integer());
}

/// The values of a % expression, handed out in order or by name.
class Supply {
 public:
  explicit Supply(const Value& values) : values_(values) {}
  Value next() {
    if (values_.is_seq(SeqKind::tuple)) {
      if (used_ == values_.seq()->items.size()) raise("not enough arguments for format string");
      return values_.seq()->items[used_++];
    }
    if (used_++ > 0) raise("not enough arguments for format string");
    return values_;
  }
  Value named(std::string_view name) {
    if (!values_.dict()) raise("format requires a mapping");
    used_ = 1;
    const Value* found = values_.dict()->find(name);
    if (!found) raise("format: key '{}' is missing", name);
    return *found;
  }
  void finish() const {
    const size_t given = values_.is_seq(SeqKind::tuple) ? values_.seq()->items.size() : 1;
    // What can be subscripted counts as a mapping, which may be left over.
    const bool mapping =
        values_.dict() || values_.is_undefined() || values_.is_seq(SeqKind::list) || values_.is_seq(SeqKind::range);
    if (used_ < given && !mapping) raise("not all arguments converted during string formatting");
  }

 private:
  const Value& values_;
  size_t used_ = 0;
};

// A width or precision: digits, or a star for the next value.
int64_t read_size(std::string_view s, size_t& at, Supply& supply) {
  if (at == s.size() || s[at] != '*') return read_number(s, at, 0);
  ++at;
  const Value v = supply.next();
  if (!v.is_int()) raise("* wants int");
  if (v.integer() > kMaxWidth || v.integer() < -kMaxWidth)
    raise("a width or precision of more than {} is not supported", kMaxWidth);
  return v.integer();
}

Str percent_one(Heap& heap, std::string_view s, size_t& at, Supply& supply, bool markup) {
  Spec spec;
  std::optional<Value> value;
  if (at < s.size() && s[at] == '(') {
    const size_t end = s.find(')', at);
    if (end == s.npos) raise("incomplete format key");
    value = supply.named(s.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  bool zero = false;
  const size_t start = at;
  for (; at < s.size() && std::string_view("#0- +").find(s[at]) != std::string_view::npos; ++at) {
    if (s[at] == '#') spec.alternate = true;
    if (s[at] == '0') zero = true;
    if (s[at] == '-') spec.align = '<';
    if (s[at] == '+' || (s[at] == ' ' && spec.sign != '+')) spec.sign = s[at];
  }
  spec.width = read_size(s, at, supply);
  if (spec.width < 0) {
    spec.align = '<';
    spec.width = -spec.width;
  }
  if (at < s.size() && s[at] == '.') spec.precision = std::max<int64_t>(read_size(s, ++at, supply), 0);
  while (at < s.size() && std::string_view("hlL").find(s[at]) != std::string_view::npos) ++at;
  if (at == s.size()) raise("incomplete format");
  spec.type = s[at++];
  if (spec.type == '%' && at == start + 1) return {"%"};
  if (std::string_view("sracdiuxXofFeEgG").find(spec.type) == std::string_view::npos) {
    raise("unsupported format character '{}'", spec.type);
  }
  if (zero && spec.align == 0 && std::string_view("srac").find(spec.type) == std::string_view::npos) {
    spec.fill = {"0"};
    spec.align = '=';
  }
  return convert(heap, spec, value ? *value : supply.next(), markup);
}

/// `own`: alignment and type of what is formatted, where the text names none.
Spec parse_spec(const Str& text, char own_align, char own_type) {
  Spec spec;
  const std::string_view s = text.text;
  size_t at = 0;
  const auto is_align = [&](size_t i) { return i < s.size() && std::string_view("<>^=").find(s[i]) != std::string_view::npos; };
  size_t first = 0;
  if (!s.empty()) next_code_point(s, first);
  const bool filled = is_align(first) && first > 0;
  if (filled) {
    spec.fill = text.part(s.substr(0, first));
    spec.align = s[first];
    at = first + 1;
  } else if (is_align(0)) {
    spec.align = s[at++];
  }
  if (at < s.size() && std::string_view("+- ").find(s[at]) != std::string_view::npos) spec.sign = s[at++];
  if (at < s.size() && s[at] == 'z') spec.no_negative_zero = ++at > 0;
  if (at < s.size() && s[at] == '#') spec.alternate = ++at > 0;
  if (at < s.size() && s[at] == '0' && !filled) {
    spec.fill = {"0"};
    if (!spec.align && own_align == '>') spec.align = '=';
    ++at;
  }
  spec.width = read_number(s, at, 0);
  if (at < s.size() && (s[at] == ',' || s[at] == '_')) spec.group = s[at++];
  if (at < s.size() && s[at] == '.') {
    spec.precision = read_number(s, ++at, -1);
    if (spec.precision < 0) raise("Format specifier missing precision");
  }
  if (at < s.size()) spec.type = s[at++];
  if (at != s.size()) raise("Invalid format specifier '{}'", s);
  const std::string_view grouped = spec.group == '_' ? "defgEG%FboxX" : "defgEG%F";
  const char type = spec.type ? spec.type : own_type;
  if (spec.group && type && grouped.find(type) == std::string_view::npos)
    raise("Cannot specify '{}' with '{}'.", spec.group, type);
  return spec;
}

Str format_value(Heap& heap, const Value& v, const Str& text) {
  if (text.text.empty()) return to_text(heap, v);
  const Spec spec = parse_spec(text, v.str() ? '<' : '>', v.str() ? 's' : v.is_int() ? 'd' : 0);
  const auto allowed = [&](std::string_view types) {
    if (spec.type && types.find(spec.type) == std::string_view::npos) {
      raise("Unknown format code '{}' for object of type '{}'", spec.type, v.type_name());
    }
  };
  if (v.str()) {
    allowed("s");
    if (spec.sign) raise("{} not allowed in string format specifier", spec.sign == ' ' ? "Space" : "Sign");
    if (spec.no_negative_zero) raise("Negative zero coercion (z) not allowed in string format specifier");
    if (spec.alternate) raise("Alternate form (#) not allowed in string format specifier");
    if (spec.align == '=') raise("'=' alignment not allowed in string format specifier");
    return format_text(heap, spec, *v.str(), '<');
  }
  if (v.is_int() && std::string_view("eEfFgG%").find(spec.type ? spec.type : ' ') == std::string_view::npos) {
    allowed("dxXobnc");
    if (spec.precision >= 0) raise("Precision not allowed in integer format specifier");
    if (spec.no_negative_zero) raise("Negative zero coercion (z) not allowed in format specifier with integer format code");
    if (spec.type == 'c' && spec.sign) raise("Sign not allowed with integer format specifier 'c'");
    if (spec.type == 'c' && spec.alternate) raise("Alternate form (#) not allowed with integer format specifier 'c'");
    if (spec.type == 'c') return format_text(heap, spec, one_character(v), '>');
    return format_integer(heap, spec, v.integer());
  }
  if (!v.is_number()) raise("unsupported format string passed to {}.__format__", v.type_name());
  allowed("eEfFgGn%");
  return format_float(heap, spec, v.number());
}

/// str.format over one text. Fields inside a specification are expanded once, as in Python.
class Braces {
 public:
  Braces(Heap& heap, Interpreter& in, Lookup lookup, const Args& args) : heap_(heap), in_(in), lookup_(lookup), args_(args) {}

  /// `s` lies in whole.text, or is empty.
  Str expand(const Str& whole, std::string_view s, int depth) {
    if (depth > 2) raise("Max string recursion exceeded");
    TextBuilder out(heap_);
    for (size_t at = 0; at < s.size();) {
      const size_t plain = std::min(s.find_first_of("{}", at), s.size());
      out.add(whole, s.substr(at, plain - at));
      if (plain == s.size()) break;
      at = plain + 1;
      const char c = s[plain];
      if (at < s.size() && s[at] == c) {
        out.add(whole, s.substr(at++, 1));
      } else if (c == '}') {
        raise("Single '}}' encountered in format string");
      } else {
        out.add(field(whole, s, at, depth));
      }
    }
    return out.take();
  }

 private:
  Str field(const Str& whole, std::string_view s, size_t& at, int depth) {
    const size_t from = at;
    for (int level = 1; level > 0; ++at) {
      if (at == s.size()) raise("expected '}}' before end of string");
      level += s[at] == '{' ? 1 : s[at] == '}' ? -1 : 0;
    }
    std::string_view text = s.substr(from, at - from - 1);
    const size_t colon = text.find(':');
    const std::string_view inner = colon == text.npos ? std::string_view() : text.substr(colon + 1);
    text = text.substr(0, colon);
    const size_t mark = text.find('!');
    if (is_number(text.substr(0, mark))) {
      if (next_ > 0) raise("cannot switch from automatic field numbering to manual field specification");
      numbered_ = true;
    }
    const Value v = find(text.substr(0, mark));  // before the specification's own fields, which are numbered after it
    const Str spec = expand(whole, inner, depth + 1);
    if (mark == text.npos) return format_value(heap_, v, spec);
    const std::string_view how = text.substr(mark + 1);
    if (how != "s" && how != "r" && how != "a") raise("Unknown conversion specifier '{}'", how);
    const auto convert = how == "s" ? to_text : how == "r" ? repr_text : ascii_text;
    return format_value(heap_, heap_.text(convert(heap_, v)), spec);
  }

  Value find(std::string_view path) {
    if (path.empty()) path = number_next();
    size_t at = std::min(path.find_first_of(".["), path.size());
    Value v = first(path.substr(0, at));
    while (at < path.size()) {
      heap_.step();
      if (path[at] == '.') {
        const size_t end = std::min(path.find_first_of(".[", at + 1), path.size());
        v = lookup_(in_, v, heap_.text(std::string(path.substr(at + 1, end - at - 1))), true);
        at = end;
        continue;
      }
      const size_t end = path[at] == '[' ? path.find(']', at) : path.npos;
      if (end == path.npos) raise("Missing ']' in format string");
      const std::string_view key = path.substr(at + 1, end - at - 1);
      v = lookup_(in_, v, is_number(key) ? Value(*parse_int(key)) : heap_.text(std::string(key)), false);
      at = end + 1;
    }
    return v;
  }

  Value first(std::string_view name) {
    if (is_number(name)) {
      const int64_t number = *parse_int(name);
      if (number >= int64_t(args_.positional.size()))
        raise("Replacement index {} out of range for positional args tuple", number);
      return args_.positional[size_t(number)];
    }
    for (const auto& [key, value] : args_.named) {
      if (key == name) return value;
    }
    raise("format: there is no argument '{}'", name);
  }

  static bool is_number(std::string_view s) { return !s.empty() && s.find_first_not_of("0123456789") == s.npos; }

  std::string_view number_next() {
    if (numbered_) raise("cannot switch from manual field specification to automatic field numbering");
    number_ = std::to_string(next_++);
    return number_;
  }

  Heap& heap_;
  Interpreter& in_;
  Lookup lookup_;
  const Args& args_;
  int64_t next_ = 0;       // of the fields without a name
  bool numbered_ = false;  // whether a field gave its number
  std::string number_;
};

}  // namespace

Value format_percent(Heap& heap, const Str& text, const Value& values) {
  TextBuilder out(heap);
  Supply supply(values);
  const std::string_view s = text.text;
  for (size_t at = 0; at < s.size();) {
    const size_t mark = std::min(s.find('%', at), s.size());
    out.add(text, s.substr(at, mark - at));
    at = mark + 1;
    if (mark < s.size()) out.add(percent_one(heap, s, at, supply, text.markup));
  }
  supply.finish();
  return heap.text(out.take(text.markup));
}

Value format_braces(Heap& heap, Interpreter& in, Lookup lookup, const Str& text, const Args& args) {
  Str out = Braces(heap, in, lookup, args).expand(text, text.text, 0);
  out.markup = text.markup;
  return heap.text(std::move(out));
}

}  // namespace gale::jinja
