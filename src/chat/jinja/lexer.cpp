#include "chat/jinja/lexer.h"

#include <algorithm>

#include "base/fail.h"
#include "chat/jinja/text.h"

namespace gale::jinja {
namespace {

using std::string_view;

bool is_word_start(char c) { return c == '_' || uint8_t(c) >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(string_view source) : s_(source) {}

  std::vector<Token> run() {
    while (at_ < s_.size()) outside();
    push(TokenKind::end, s_.size(), "");
    return std::move(tokens_);
  }

 private:
  bool here(string_view text, size_t at) const { return s_.substr(std::min(at, s_.size())).starts_with(text); }
  bool here(string_view text) const { return here(text, at_); }
  size_t skip_space(size_t at) const { return s_.size() - strip_left(s_.substr(std::min(at, s_.size()))).size(); }
  void push(TokenKind kind, size_t at, std::string text) { tokens_.push_back({kind, uint32_t(at), std::move(text), {}}); }
  [[noreturn]] void error(size_t at, const std::string& what) const { syntax_error(s_, at, what); }

  /// Plain text up to the next tag, then the tag.
  void outside() {
    size_t tag = at_;
    while ((tag = s_.find('{', tag)) != s_.npos && !here("{{", tag) && !here("{%", tag) && !here("{#", tag)) ++tag;
    if (tag == s_.npos) {
      push(TokenKind::text, at_, std::string(s_.substr(at_)));
      at_ = s_.size();
      return;
    }
    const size_t from = at_;
    const bool print = here("{{", tag);
    at_ = tag + 2;
    const char sign = at_ < s_.size() && (s_[at_] == '-' || s_[at_] == '+') ? s_[at_++] : 0;
    push_text(from, tag, sign, !print);
    line_start_ = false;
    if (here("{#", tag)) return comment(tag);
    if (!print && raw()) return;
    push(print ? TokenKind::print_begin : TokenKind::block_begin, tag, "");
    inside(print);
  }

  /// `sign` is the tag's: - strips all space before it, none strips the indentation of a tag that begins its line.
  void push_text(size_t from, size_t to, char sign, bool strip_indent) {
    string_view text = s_.substr(from, to - from);
    if (sign == '-') {
      text = strip_right(text);
    } else if (sign != '+' && strip_indent) {
      const size_t line = text.rfind('\n') + 1;  // npos + 1 == 0
      if ((line > 0 || line_start_) && strip(text.substr(line)).empty()) text = text.substr(0, line);
    }
    if (!text.empty()) push(TokenKind::text, from, std::string(text));
  }

  /// After the end of a tag: the space that its sign, or trim_blocks, removes.
  void after_tag(char sign, bool trim) {
    if (sign == '-') {
      at_ = skip_space(at_);
    } else if (sign != '+' && trim && here("\n")) {
      ++at_;
    }
    line_start_ = at_ > 0 && s_[at_ - 1] == '\n';
  }

  void comment(size_t tag) {
    if (at_ == s_.size()) return;  // as in jinja2, which stops where no text is left
    const size_t end = s_.find("#}", at_);
    if (end == s_.npos) error(tag, "Missing end of comment tag");
    const char sign = end > at_ ? s_[end - 1] : 0;
    at_ = end + 2;
    after_tag(sign, true);
  }

  /// {% raw %}...{% endraw %}; false where the block is another one.
  bool raw() {
    size_t at = skip_space(at_);
    if (!here("raw", at)) return false;
    at = skip_space(at + 3);
    const char sign = here("-%}", at) ? '-' : 0;
    if (!sign && !here("%}", at)) return false;
    const size_t tag = at_;
    at_ = at + (sign ? 3 : 2);
    after_tag(sign, false);
    if (at_ == s_.size()) return true;
    const size_t from = at_;
    for (size_t open = s_.find("{%", from); open != s_.npos; open = s_.find("{%", open + 2)) {
      at_ = open + 2;
      const char begin_sign = at_ < s_.size() && (s_[at_] == '-' || s_[at_] == '+') ? s_[at_++] : 0;
      at_ = skip_space(at_);
      if (!here("endraw")) continue;
      at_ = skip_space(at_ + 6);
      const char end_sign = here("-%}") || here("+%}") ? s_[at_++] : 0;
      if (!here("%}")) continue;
      at_ += 2;
      const size_t next = at_;
      push_text(from, open, begin_sign, true);
      at_ = next;
      after_tag(end_sign, true);
      return true;
    }
    error(tag, "Missing end of raw directive");
  }

  bool tag_end(bool print) {
    const string_view close = print ? "}}" : "%}";
    const char sign = here("-") || (here("+") && !print) ? s_[at_] : 0;
    if (!open_.empty() || !here(close, at_ + (sign ? 1 : 0))) return false;
    push(print ? TokenKind::print_end : TokenKind::block_end, at_, "");
    at_ += sign ? 3 : 2;
    after_tag(sign, !print);
    return true;
  }

  void inside(bool print) {
    while (true) {
      at_ = skip_space(at_);
      if (at_ >= s_.size()) return;  // the parser says what is missing
      if (tag_end(print)) return;
      if (is_ascii_digit(s_[at_])) {
        number();
      } else if (is_word_start(s_[at_])) {
        name();
      } else if (s_[at_] == '"' || s_[at_] == '\'') {
        string();
      } else {
        op();
      }
    }
  }

  void name() {
    const size_t from = at_;
    while (at_ < s_.size() && (is_word_start(s_[at_]) || is_ascii_digit(s_[at_]))) ++at_;
    const string_view word = s_.substr(from, at_ - from);
    if (!is_identifier(word)) error(from, "Invalid character in identifier");
    push(TokenKind::name, from, std::string(word));
  }

  size_t digits(size_t at, bool (*test)(char)) const {
    while (at < s_.size() && (test(s_[at]) || (s_[at] == '_' && at + 1 < s_.size() && test(s_[at + 1])))) ++at;
    return at;
  }

  void number() {
    const size_t from = at_;
    size_t end = digits(from, is_ascii_digit);
    bool is_float = false;
    if (from == 0 || s_[from - 1] != '.') {
      if (end + 1 < s_.size() && s_[end] == '.' && is_ascii_digit(s_[end + 1])) {
        end = digits(end + 1, is_ascii_digit);
        is_float = true;
      }
      size_t exponent = end + 1;
      if (end < s_.size() && (s_[end] | 32) == 'e') {
        if (exponent < s_.size() && (s_[exponent] == '+' || s_[exponent] == '-')) ++exponent;
        if (exponent < s_.size() && is_ascii_digit(s_[exponent])) {
          end = digits(exponent, is_ascii_digit);
          is_float = true;
        }
      }
    }
    if (!is_float) end = integer_end(from);
    at_ = end;
    const std::string text(s_.substr(from, end - from));
    try {
      const auto v = is_float ? std::optional<Value>(*parse_float(text)) : std::optional<Value>(*parse_int(text, 0));
      tokens_.push_back({TokenKind::number, uint32_t(from), text, *v});
    } catch (const Failure& e) {
      // The least integer is a minus and one that does not fit.
      if (text == "9223372036854775808" && !tokens_.empty() && tokens_.back().kind == TokenKind::op && tokens_.back().text == "-")
        tokens_.push_back({TokenKind::number, uint32_t(from), text, Value(INT64_MIN)});
      else
        error(from, e.what());
    }
  }

  size_t integer_end(size_t from) const {
    const char letter = from + 1 < s_.size() && s_[from] == '0' ? char(s_[from + 1] | 32) : 0;
    const auto based = [&](bool (*test)(char)) {
      const size_t end = digits(from + 2, test);
      return end > from + 2 ? end : from + 1;
    };
    if (letter == 'x') return based([](char c) { return is_ascii_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f'); });
    if (letter == 'o') return based([](char c) { return c >= '0' && c <= '7'; });
    if (letter == 'b') return based([](char c) { return c == '0' || c == '1'; });
    if (s_[from] == '0') return digits(from, [](char c) { return c == '0'; });
    return digits(from, is_ascii_digit);
  }

  void string() {
    const size_t from = at_++;
    std::string out;
    while (at_ < s_.size() && s_[at_] != s_[from]) {
      if (s_[at_] != '\\') {
        out += s_[at_++];
      } else {
        escape(out);
      }
    }
    if (at_ >= s_.size()) error(from, "the string does not end");
    ++at_;
    push(TokenKind::string, from, std::move(out));
  }

  uint32_t hex(size_t at, size_t n) const {
    uint32_t v = 0;
    for (size_t i = 0; i < n; ++i) {
      const char c = at + i < s_.size() ? s_[at + i] : 'g';
      const char low = char(c | 32);
      if (!is_ascii_digit(c) && !(low >= 'a' && low <= 'f'))
        error(at, fmt::format("truncated escape: {} hex digits expected", n));
      v = v * 16 + uint32_t(is_ascii_digit(c) ? c - '0' : low - 'a' + 10);
    }
    return v;
  }

  void escape(std::string& out) {
    const size_t from = at_;
    const char c = ++at_ < s_.size() ? s_[at_] : 0;
    ++at_;
    static constexpr string_view letters = "\\'\"abfnrtv", values = "\\'\"\a\b\f\n\r\t\v";
    if (c == '\n') return;  // a line continued
    if (const size_t i = letters.find(c); i != letters.npos && c != 0) {
      out += values[i];
    } else if (c >= '0' && c <= '7') {
      uint32_t v = uint32_t(c - '0');
      for (int i = 0; i < 2 && at_ < s_.size() && s_[at_] >= '0' && s_[at_] <= '7'; ++i) v = v * 8 + uint32_t(s_[at_++] - '0');
      append_code_point(out, v);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      unicode_escape(out, from, c == 'x' ? 2 : c == 'u' ? 4 : 8);
    } else if (c == 'N') {
      error(from, "\\N{...} is not supported: write the character itself");
    } else {
      out += '\\';
      --at_;  // an unknown escape stays as it is
      if (uint8_t(c) < 0x80) return;
      const char32_t letter = next_code_point(s_, at_);  // jinja2 has written this one as an escape before it reads escapes
      out += letter < 0x100     ? fmt::format("x{:02x}", uint32_t(letter))
             : letter < 0x10000 ? fmt::format("u{:04x}", uint32_t(letter))
                                : fmt::format("U{:08x}", uint32_t(letter));
    }
  }

  void unicode_escape(std::string& out, size_t from, size_t n) {
    uint32_t v = hex(at_, n);
    at_ += n;
    if (v >= 0xd800 && v < 0xdc00 && here("\\u")) {  // a pair of surrogates, as JSON writes it
      const uint32_t low = hex(at_ + 2, 4);
      if (low >= 0xdc00 && low < 0xe000) {
        v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
        at_ += 6;
      }
    }
    if (v > 0x10ffff || (v >= 0xd800 && v < 0xe000)) error(from, "illegal Unicode character in a string");
    append_code_point(out, v);
  }

  void op() {
    static constexpr string_view operators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                                "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto* found = std::find_if(std::begin(operators), std::end(operators), [&](string_view o) { return here(o); });
    if (found == std::end(operators)) error(at_, fmt::format("unexpected char {:?}", s_.substr(at_, 1)));
    if (const size_t i = string_view("([{").find(*found); i != string_view::npos) {
      open_ += ")]}"[i];
    } else if (string_view(")]}").find(*found) != string_view::npos) {
      if (open_.empty()) error(at_, fmt::format("unexpected '{}'", *found));
      if (open_.back() != (*found)[0]) error(at_, fmt::format("unexpected '{}', expected '{}'", *found, open_.back()));
      open_.pop_back();
    }
    push(TokenKind::op, at_, std::string(*found));
    at_ += found->size();
  }

  string_view s_;
  size_t at_ = 0;
  bool line_start_ = true;  ///< whether what was read last ended a line
  std::string open_;        ///< brackets that wait to be closed
  std::vector<Token> tokens_;
};

}  // namespace

std::string normalize_source(string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    out += source[i] == '\r' ? '\n' : source[i];
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

Place place_of(string_view source, size_t at) {
  const string_view before = source.substr(0, std::min(at, source.size()));
  const size_t line = size_t(std::count(before.begin(), before.end(), '\n'));
  const size_t start = before.rfind('\n');
  return {line + 1, before.size() - (start == before.npos ? 0 : start + 1) + 1};
}

void syntax_error(string_view source, size_t at, const std::string& what) {
  const Place p = place_of(source, at);
  fail(ErrorCode::corrupt, "chat template, line {}, column {}: {}", p.line, p.column, what);
}

std::vector<Token> tokenize(string_view source) { return Lexer(source).run(); }

}  // namespace gale::jinja
