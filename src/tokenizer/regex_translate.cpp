#include "tokenizer/regex_translate.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/fail.h"
#include "tokenizer/regex_lookbehind.h"
#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

constexpr int kMaxSets = 32;
constexpr char32_t kLast = 0x10ffff;

constexpr std::string_view kSpaces =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
// Which a \w that stands alone has too, as Oniguruma looks Latin-1 up in a table of its own then.
constexpr std::string_view kLatinWord = R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";

// Classes that PCRE2 can be asked for: of characters, or of all others. Stand-ins have the same general category.
struct NamedClass {
  std::string_view name, members;
  bool others = false;
};
constexpr NamedClass kClasses[] = {
    {"ascii", R"(\x{0}-\x{7f})"},
    {"blank", R"(\x{9}\p{Zs})"},
    {"cntrl", R"(\p{Cc})"},
    {"digit", R"(\p{Nd})"},
    {"graph", R"(\x{9}-\x{d}\x{20}\x{85}\p{Z}\p{Cc}\p{Cn}\p{Cs})", true},
    {"print", R"(\p{Zl}\p{Zp}\p{Cc}\p{Cn}\p{Cs})", true},
    {"punct", R"(\p{P})"},
    {"[:punct:]", R"(\p{P}\p{S})"},
    {"space", kSpaces},
    {"xdigit", "0-9a-fA-F"},
    {"word", R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})"},
    {"han", R"(\p{sc:Han})"},
    {"hani", R"(\p{sc:Han})"},
};
constexpr std::pair<std::string_view, std::string_view> kCategories[] = {
    {"letter", "L"},
    {"lowercaseletter", "Ll"},
    {"uppercaseletter", "Lu"},
    {"titlecaseletter", "Lt"},
    {"modifierletter", "Lm"},
    {"otherletter", "Lo"},
    {"mark", "M"},
    {"combiningmark", "M"},
    {"nonspacingmark", "Mn"},
    {"spacingmark", "Mc"},
    {"enclosingmark", "Me"},
    {"number", "N"},
    {"decimalnumber", "Nd"},
    {"letternumber", "Nl"},
    {"othernumber", "No"},
    {"punctuation", "P"},
    {"connectorpunctuation", "Pc"},
    {"dashpunctuation", "Pd"},
    {"openpunctuation", "Ps"},
    {"closepunctuation", "Pe"},
    {"initialpunctuation", "Pi"},
    {"finalpunctuation", "Pf"},
    {"otherpunctuation", "Po"},
    {"symbol", "S"},
    {"mathsymbol", "Sm"},
    {"currencysymbol", "Sc"},
    {"modifiersymbol", "Sk"},
    {"othersymbol", "So"},
    {"separator", "Z"},
    {"spaceseparator", "Zs"},
    {"lineseparator", "Zl"},
    {"paragraphseparator", "Zp"},
    {"other", "C"},
    {"control", "Cc"},
    {"format", "Cf"},
    {"privateuse", "Co"},
    {"unassigned", "Cn"},
};

// A general category's name as PCRE2 writes it, "" for other names.
std::string category(std::string_view plain) {
  for (const auto& [theirs, ours] : kCategories) {
    if (theirs == plain) return std::string(ours);
    if (plain.size() == ours.size() && plain[0] + 'A' - 'a' == ours[0] && plain.substr(1) == ours.substr(1))
      return std::string(ours);
  }
  return {};
}

using Ranges = std::vector<unicode::Range>;

// What the reference's table has under this name; nullopt where it has no such class.
std::optional<Ranges> table_of(std::string_view plain) {
  const std::string name = " " + std::string(plain) + " ";
  for (const unicode::Class& c : unicode::character_class()) {
    if (c.names.find(name) == std::string_view::npos) continue;
    Ranges out;
    char32_t at = 0;
    for (size_t i = 0; i < c.ranges.size();) {
      const auto number = [&] {
        char32_t value = 0;
        for (int shift = 0;; shift += 5) {
          const auto digit = char32_t(c.ranges[i++] - '0');
          value |= (digit & 31) << shift;
          if (digit < 32) return value;
        }
      };
      const char32_t first = at + number();
      at = first + number() + 1;
      out.push_back({first, at - 1});
    }
    return out;
  }
  return std::nullopt;
}

Ranges others(const Ranges& members) {
  Ranges out;
  char32_t from = 0;
  for (const auto& [first, last] : members) {
    if (first > from) out.push_back({from, first - 1});
    from = last + 1;
  }
  if (from <= kLast) out.push_back({from, kLast});
  return out;
}

std::string spelled(const Ranges& members) {
  std::string out;
  for (const auto& [first, last] : members) {
    out += fmt::format("\\x{{{:x}}}", uint32_t(first));
    if (last > first) out += fmt::format("-\\x{{{:x}}}", uint32_t(last));
  }
  return out;
}

char32_t lower(char32_t code) {
  const unicode::Mapping* row = unicode::covering(unicode::lower(), code);
  return row != nullptr && (code - row->first) % char32_t(row->stride) == 0 ? char32_t(int64_t(code) + row->distance) : code;
}

// Rewrites what PCRE2 and Oniguruma read differently: classes, \h (a hex digit), sets inside sets and their intersections, {n,m}+
// (greedy there, possessive here), a quantifier after another, (?m) (dot matches line ends), (?i) in the middle, and characters
// that are equal to several ones where case does not count.
class Translator {
 public:
  Translator(std::string_view pattern, std::string_view where, bool exact, bool fixed)
      : in_(pattern), where_(where), exact_(exact), fixed_(fixed) {}

  /// nullopt: classes have to be spelled out.
  std::optional<std::string> run() {
    // Tried at each place of a run of spaces that no line end follows, this one is quadratic; matches are the same with the
    // guard.
    if (in_ == R"(\s+$)") return "(?:\\G|(?<![" + std::string(kSpaces) + "]))[" + std::string(kSpaces) + "]+$";
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        begin_atom();
        escaped();
      } else if (c == '[') {
        begin_atom();
        ++at_;
        out_ += set(0).text();
      } else if (c == '(') {
        open_group();
      } else if (c == ')') {
        close_group();
      } else if (c == '|') {
        out_ += c, ++at_;
        has_atom_ = false;
      } else if (c == '^' || c == '$') {
        begin_atom();
        out_ += c, ++at_;
      } else if (!quantifier()) {
        literal();
      }
    }
    close_options();
    if (needs_tables_) return std::nullopt;
    return out_;
  }

 private:
  // A class of characters, or of all others. Without members it is written as what never matches.
  struct Class {
    std::string members;
    bool negated = false;
    std::string text() const {
      if (members.empty()) return negated ? "(?s:.)" : "(?!)";
      return (negated ? "[^" : "[") + members + "]";
    }
  };
  // A set as members of one class, or as an expression for one character (or for several that are equal to one).
  struct Set : Class {
    std::string expression = {};
    std::string text() const { return expression.empty() ? Class::text() : expression; }
  };
  struct Group {
    size_t begin;         // in the output
    bool caseless;        // outside of it
    size_t options = 0;   // of options in the middle, each of which is a group of its own up to the end
    bool behind = false;  // looks behind, where characters are not equal to several ones
  };

  [[noreturn]] void refuse(std::string_view what) const {
    fail(ErrorCode::unsupported, "{}: pattern '{}': {} (at byte {})", where_, in_, what, at_);
  }

  void begin_atom() {
    atom_ = out_.size();
    has_atom_ = true, quantified_ = false;
  }

  // Classes.

  static std::string plain_name(std::string_view name) {
    std::string out;
    for (const char c : name)
      if (c != ' ' && c != '_' && c != '-') out += c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
    return out;
  }

  std::optional<Class> named_class(std::string_view plain, bool negated) {
    if (plain == "any") return Class{"\\x{0}-\\x{10ffff}", negated};
    if (!exact_) {
      for (const NamedClass& c : kClasses)
        if (c.name == plain) return Class{std::string(c.members), negated != c.others};
      if (const std::string name = category(plain); !name.empty()) return Class{"\\p{" + name + "}", negated};
    }
    const std::optional<Ranges> members = table_of(plain);
    if (!members) return std::nullopt;
    needs_tables_ |= !exact_;
    return Class{spelled(negated ? others(*members) : *members), false};
  }

  Class posix_class(std::string_view name, bool negated) {
    const std::string bracket = "[:" + std::string(name) + ":]";
    std::optional<Class> out;
    const bool same = std::ranges::any_of(kClasses, [&](const NamedClass& c) { return c.name == name; }) && name != "punct";
    if (table_of(bracket)) out = named_class(!exact_ && same ? std::string(name) : bracket, negated);
    if (!out) refuse("[:" + std::string(name) + ":] is unknown");
    return *out;
  }

  // \s, \w, \d, \h, \p{Alnum} and their like.
  std::optional<Class> class_escape(bool in_set) {
    const std::string_view rest = in_.substr(at_);
    if (rest.size() < 2) return std::nullopt;
    const bool upper = rest[1] >= 'A' && rest[1] <= 'Z';
    const char kind = upper ? char(rest[1] - 'A' + 'a') : rest[1];
    std::optional<Class> out;
    bool word = kind == 'w';
    if (kind == 's' || kind == 'w' || kind == 'h' || kind == 'd') {
      at_ += 2;
      const bool latin = word && !in_set && exact_ && upper;  // the complement of a wider class
      out = named_class(kind == 's' ? "space" : word ? "word" : kind == 'd' ? "digit" : "xdigit", upper && !latin);
      if (latin) out->negated = true;
    } else if (kind == 'p' && rest.size() > 2 && rest[2] == '{') {
      const size_t end = rest.find('}');
      if (end == std::string_view::npos) refuse("a property's name has no end");
      const bool other = rest.substr(3).starts_with('^');
      const std::string name = plain_name(rest.substr(3 + other, end - 3 - other));
      word = name == "word";
      const bool latin = word && !in_set && exact_ && upper != other;
      out = named_class(name, upper != other && !latin);
      if (!out) refuse("the property '" + std::string(rest.substr(3, end - 3)) + "' is unknown");
      if (latin) out->negated = true;
      at_ += end + 1;
    } else {
      return std::nullopt;
    }
    if (word && !in_set) out->members += kLatinWord;
    return out;
  }

  // \b and \B, between word characters as \w has them.
  void border() {
    const std::string word = "[" + named_class("word", false)->members + std::string(kLatinWord) + "])";
    const bool inside = in_[at_ + 1] == 'B';
    at_ += 2;
    out_ += "(?:(?<=" + word + (inside ? "(?=" : "(?!") + word + "|(?<!" + word + (inside ? "(?!" : "(?=") + word + ")";
  }

  // Escapes.

  static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
  }

  // The character of \x, \u and \C at at_, which is after the letter.
  std::string coded(char letter) {
    if (letter == 'u') {
      char32_t code = 0;
      for (int i = 0; i < 4; ++i, ++at_) {
        const int digit = at_ < in_.size() ? hex_digit(in_[at_]) : -1;
        if (digit < 0) refuse("\\u needs four hex digits");
        code = code * 16 + char32_t(digit);
      }
      return fmt::format("\\x{{{:x}}}", uint32_t(code));
    }
    if (in_.substr(at_).starts_with('{')) {
      const size_t end = in_.find('}', at_);
      if (end == std::string_view::npos) refuse("\\x{ has no end");
      std::string out = "\\x" + std::string(in_.substr(at_, end + 1 - at_));
      at_ = end + 1;
      return out;
    }
    std::string bytes;  // several of them can be one character
    do {
      int value = 0, digits = 0;
      for (; digits < 2 && at_ < in_.size() && hex_digit(in_[at_]) >= 0; ++digits) value = value * 16 + hex_digit(in_[at_++]);
      bytes += char(value);
      if (utf8_at(bytes, 0).kind == Utf8Char::valid) return fmt::format("\\x{{{:x}}}", utf8_at(bytes, 0).code);
    } while (utf8_at(bytes, 0).kind == Utf8Char::cut && in_.substr(at_).starts_with("\\x") && (at_ += 2));
    refuse("\\x names bytes that are no character");
  }

  // An escape that is one character, the same inside a set and outside.
  std::string character_escape(char c) {
    switch (c) {
      case 'x':
      case 'u':
        return coded(c);
      case 'v':
        return "\\x{b}";
      case 'C':
        if (in_.substr(at_).starts_with('-') && at_ + 1 < in_.size()) {
          at_ += 2;
          return {'\\', 'c', in_[at_ - 1]};
        }
        [[fallthrough]];
      case 'M':
        refuse(std::string("\\") + c + " is not read");
      case 'a':
      case 'e':
      case 'f':
      case 'n':
      case 'r':
      case 't':
      case 'c':
      case 'o':
        return {'\\', c};
      default:
        if (c >= '0' && c <= '9') return {'\\', c};
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? std::string(1, c) : std::string{'\\', c};
    }
  }

  void escaped() {
    const bool caseless_category = in_.substr(at_).starts_with("\\p{") || in_.substr(at_).starts_with("\\P{");
    if (const auto named = class_escape(false)) {
      // Properties that stand alone do not care for (?i).
      const std::string text = named->text();
      out_ += caseless_ && exact_ && caseless_category ? "(?-i:" + text + ")" : text;
      return;
    }
    if (at_ + 1 >= in_.size()) refuse("it ends with \\");
    const char c = in_[at_ + 1];
    if (c == 'b' || c == 'B') return border();
    at_ += 2;
    switch (c) {
      case 'O':
        out_ += "(?s:.)";
        break;
      case 'X':  // PCRE2 takes neighbouring emoji for one
      case 'y':
      case 'Y':
        refuse(std::string("\\") + c + " (characters as people see them) is not read");
      case 'k':
        reference();
        break;
      case 'A':
      case 'z':
      case 'Z':
      case 'G':
      case 'K':
      case 'N':
      case 'R':
      case 'g':
        (out_ += '\\') += c;
        break;
      default:
        out_ += character_escape(c);
    }
  }

  // \k<name>, \k<1> and \k<-1>.
  void reference() {
    const size_t end = in_.substr(at_).starts_with('<') ? in_.find('>', at_) : std::string_view::npos;
    const std::string_view name = end == std::string_view::npos ? "" : in_.substr(at_ + 1, end - at_ - 1);
    if (!name.empty() && name.find_first_not_of("-0123456789") == std::string_view::npos) {
      out_ += "\\g{" + std::string(name) + "}";
      at_ = end + 1;
    } else {
      out_ += "\\k";
    }
  }

  // Sets.

  // From after '[' to after its ']'.
  Set set(int depth) {
    if (depth > kMaxSets) refuse("its sets nest too deep");
    Set out;
    std::vector<std::string> operands;
    std::string members, others;
    bool any = false;
    const auto alternative = [&](const std::string& text) { (others += others.empty() ? "" : "|") += text; };
    const auto put = [&](const Class& c) {
      any = true;
      c.negated ? alternative(c.text()) : void(members += c.members);
    };
    const auto operand = [&] {
      if (!any) refuse("it has an empty set");
      std::string text = members.empty() ? std::string() : "[" + members + "]";
      if (!others.empty()) text = "(?:" + text + (text.empty() ? "" : "|") + others + ")";
      if (text.empty()) text = "(?!)";
      members.clear(), others.clear();
      any = false;
      return text;
    };
    if (at_ < in_.size() && in_[at_] == '^') out.negated = true, ++at_;
    if (at_ < in_.size() && in_[at_] == ']') members += "\\]", any = true, ++at_;
    for (; at_ < in_.size() && in_[at_] != ']';) {
      const std::string_view rest = in_.substr(at_);
      const size_t posix = rest.starts_with("[:") ? rest.find(":]") : std::string_view::npos;
      if (posix != std::string_view::npos) {
        const bool other = rest.substr(2).starts_with('^');
        put(posix_class(rest.substr(2 + other, posix - 2 - other), other));
        at_ += posix + 2;
      } else if (rest[0] == '[') {
        ++at_;
        const Set inner = set(depth + 1);
        if (!inner.negated && inner.expression.empty())
          put(inner);
        else
          alternative(inner.text()), any = true;
      } else if (rest.starts_with("&&")) {
        operands.push_back(operand());
        at_ += 2;
      } else if (const auto named = rest[0] == '\\' ? class_escape(true) : std::nullopt) {
        put(*named);
      } else if (rest[0] == '\\') {
        if (rest.size() < 2) refuse("it ends with \\");
        at_ += 2;
        members += rest[1] == 'b' ? "\\x{8}" : character_escape(rest[1]);
        any = true;
      } else {
        const Utf8Char c = utf8_at(rest, 0);
        if (rest[0] == ':' || rest[0] == '=' || rest[0] == '.') members += '\\';  // no bracket of PCRE2's
        members += rest.substr(0, c.length);
        at_ += c.length;
        any = true;
        const bool ranges = at_ < in_.size() && in_[at_] == '-';
        if (caseless_ && !looks_behind() && !out.negated && !ranges)
          for (const unicode::Folding& f : unicode::folding())
            if (f.code == c.code) alternative(std::string(f.text));
      }
    }
    if (at_ >= in_.size()) refuse("a set has no end");
    ++at_;
    if (operands.empty() && others.empty()) {
      if (!any) refuse("it has an empty set");
      out.members = members;
      return out;
    }
    const std::string last = operand();
    for (const std::string& o : operands) out.expression += "(?=" + o + ")";
    out.expression = out.negated ? "(?:(?!" + out.expression + last + ")(?s:.))" : "(?:" + out.expression + last + ")";
    return out;
  }

  // Groups.

  // '(' and what goes with it up to the group's own text.
  void open_group() {
    const std::string_view rest = in_.substr(at_);
    if (rest.starts_with("(*")) refuse("(* is not read");
    if (rest.starts_with("(?#")) {
      const size_t end = in_.find(')', at_);
      if (end == std::string_view::npos) refuse("a comment has no end");
      at_ = end + 1;
      return;
    }
    Group group{out_.size(), caseless_};
    size_t end = 2;
    while (rest.starts_with("(?") && end < rest.size() && std::string_view("imx-").find(rest[end]) != std::string_view::npos)
      ++end;
    if (end > 2 && end < rest.size() && (rest[end] == ':' || rest[end] == ')')) {
      bool on = true;
      std::string flags;
      for (const char c : rest.substr(2, end - 2)) {
        if (c == '-') on = false;
        if (c == 'i') caseless_ = on;
        flags += c == 'm' ? 's' : c;
      }
      at_ += end + 1;
      out_ += "(?" + flags + ":";
      if (rest[end] == ')') {  // up to the end of the group around it
        ++(groups_.empty() ? options_ : groups_.back().options);
      } else {
        groups_.push_back(group);
      }
      has_atom_ = false;
      return;
    }
    if (rest.starts_with("(?") && (rest.size() < 3 || std::string_view(":=!><('").find(rest[2]) == std::string_view::npos))
      refuse("this kind of group is not read");
    groups_.push_back(group);
    out_ += '(', ++at_;
    if (rest.starts_with("(?(")) {  // the condition is no group
      const size_t close = in_.find(')', at_);
      if (close == std::string_view::npos) refuse("a condition has no end");
      out_ += in_.substr(at_, close + 1 - at_);
      at_ = close + 1;
    } else if (rest.starts_with("(?")) {
      const bool behind = rest.starts_with("(?<=") || rest.starts_with("(?<!"),
                 named = !behind && (rest[2] == '<' || rest[2] == '\'');
      const size_t close = named ? rest.find(rest[2] == '<' ? '>' : '\'', 3) : 2 + behind;
      if (close == std::string_view::npos) refuse("a group's name has no end");
      out_ += rest.substr(1, close);
      at_ += close;
      groups_.back().behind = behind;
    }
    has_atom_ = false;
  }

  void close_group() {
    if (groups_.empty()) refuse("a ) has no (");
    const Group group = groups_.back();
    groups_.pop_back();
    out_.append(group.options + 1, ')');
    ++at_;
    if (fixed_) look_back(group.begin);
    caseless_ = group.caseless;
    atom_ = group.begin;
    has_atom_ = true, quantified_ = false;
  }

  bool looks_behind() const {
    return std::ranges::any_of(groups_, [](const Group& g) { return g.behind; });
  }

  // Where the group is a look-behind, as PCRE2 can run it.
  void look_back(size_t begin) {
    const std::string_view group = std::string_view(out_).substr(begin);
    if (!group.starts_with("(?<=") && !group.starts_with("(?<!")) return;
    const auto body = fixed_alternatives(group.substr(4, group.size() - 5));
    if (!body)
      refuse(
          "what it looks behind for has no fixed length; Gale can where that part comes first, or has some hundred forms at "
          "most");
    out_.replace(begin + 4, group.size() - 5, *body);
  }

  void close_options() {
    if (!groups_.empty()) refuse("a ( has no )");
    out_.append(options_, ')');
  }

  // Quantifiers.

  // The quantifier at at_, if there is one, as PCRE2 writes it.
  std::optional<std::string> read_quantifier(bool& interval, bool& single) const {
    const char c = in_[at_];
    interval = single = false;
    if (c == '*' || c == '+' || c == '?') return std::string(1, c);
    const size_t end = c == '{' ? in_.find('}', at_) : std::string_view::npos;
    if (end == std::string_view::npos) return std::nullopt;
    std::string inner(in_.substr(at_ + 1, end - at_ - 1));
    if (inner.empty() || inner.find_first_not_of("0123456789,") != std::string::npos || inner == ",") return std::nullopt;
    if (std::ranges::count(inner, ',') > 1) return std::nullopt;
    if (inner[0] == ',') inner.insert(0, "0");
    interval = true;
    single = inner.find(',') == std::string::npos;
    return "{" + inner + "}";
  }

  bool quantifier() {
    bool interval, single;
    const std::optional<std::string> text = read_quantifier(interval, single);
    if (!text) return false;
    if (!has_atom_) refuse("a quantifier has nothing to repeat");
    if (quantified_) out_.insert(atom_, "(?:") += ")";
    at_ += interval ? in_.find('}', at_) + 1 - at_ : 1;
    out_ += *text;
    quantified_ = true;
    // After {n} a '?' is another quantifier, and after any interval a '+'.
    const char next = at_ < in_.size() ? in_[at_] : '\0';
    if ((next == '?' && !single) || (next == '+' && !interval)) out_ += next, ++at_;
    return true;
  }

  // Text.

  void literal() {
    begin_atom();
    const std::string_view rest = in_.substr(at_);
    const Utf8Char c = utf8_at(rest, 0);
    if (caseless_ && !looks_behind() && foldable(c)) return;
    out_ += rest.substr(0, c.length);
    at_ += c.length;
  }

  // A character that is equal to several, or several that are equal to one.
  bool foldable(Utf8Char c) {
    std::string_view text;
    size_t taken = 0;
    for (const unicode::Folding& f : unicode::folding())
      if (f.code == c.code) text = f.text, taken = c.length;
    for (const unicode::Folding& f : unicode::folding()) {
      const size_t bytes = spelled_here(f.text);
      if (bytes > taken) text = f.text, taken = bytes;
    }
    if (taken == 0) return false;
    out_ += "(?:" + std::string(text);
    for (const unicode::Folding& f : unicode::folding())
      if (f.text == text) out_ += fmt::format("|\\x{{{:x}}}", uint32_t(f.code));
    out_ += ")";
    at_ += taken;
    return true;
  }

  // How many bytes of the pattern stand for this text of several characters, 0 for none.
  size_t spelled_here(std::string_view text) {
    size_t at = at_;
    for (size_t i = 0; i < text.size();) {
      if (at >= in_.size()) return 0;
      const Utf8Char wanted = utf8_at(text, i), got = utf8_at(in_, at);
      if (got.code < 0x80 && std::string_view("\\[](){}|^$.*+?# ").find(char(got.code)) != std::string_view::npos &&
          got.code != ' ')
        return 0;
      if (lower(got.code) != wanted.code && !(got.code == 0x17f && wanted.code == 's')) return 0;
      i += wanted.length, at += got.length;
    }
    if (at >= in_.size()) return at - at_;
    const size_t back = std::exchange(at_, at);  // what is repeated is the last character alone
    bool interval, single;
    const bool repeated = read_quantifier(interval, single).has_value();
    at_ = back;
    return repeated ? 0 : at - at_;
  }

  std::string_view in_, where_;
  bool exact_, fixed_, needs_tables_ = false;
  size_t at_ = 0;
  size_t atom_ = 0;                             // where in the output the last atom begins
  bool has_atom_ = false, quantified_ = false;  // there is one; it is followed by a quantifier
  bool caseless_ = false;
  std::vector<Group> groups_;
  size_t options_ = 0;  // as Group::options, of the whole expression
  std::string out_;
};

}  // namespace

TranslatedRegex translate_regex(std::string_view pattern, std::string_view where, bool fixed_lookbehinds) {
  require(valid_prefix(pattern) == pattern.size(), ErrorCode::unsupported, "{}: a pattern that is no UTF-8", where);
  if (auto text = Translator(pattern, where, false, fixed_lookbehinds).run()) return {std::move(*text), false};
  return {*Translator(pattern, where, true, fixed_lookbehinds).run(), true};
}

}  // namespace gale
