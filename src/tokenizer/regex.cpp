#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/fail.h"
#include "tokenizer/unicode.h"
#include "tokenizer/unicode_forms.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

constexpr size_t kMaxPattern = 1 << 16;
constexpr uint32_t kHeapLimitKib = 64 << 10;  // for the interpreter, where the JIT cannot run
constexpr size_t kJitStackMax = size_t(32) << 20;
// What a search may cost before it counts: ordinary words take a few steps and look at a few bytes.
constexpr uint32_t kFewSteps = 500;
constexpr size_t kFewBytes = 1024;
constexpr uint32_t kGrowth = 4;
constexpr uint32_t kClock = 1024;  // searches from one look at the clock to the next

constexpr std::string_view kSpaces =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
// Which a \w that stands alone has too, as Oniguruma looks Latin-1 up in a table of its own then.
constexpr std::string_view kLatinWord = R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";

// Oniguruma's named classes: of characters, or of all others. \p{Punct} is smaller than [[:punct:]].
// Some characters have become letters or small ones since the Unicode that PCRE2 may be built with.
struct NamedClass {
  std::string_view name, members;
  bool others = false;
};
constexpr NamedClass kClasses[] = {
    {"alnum", R"(\p{Alphabetic}\p{Nd}\x{363}-\x{36f}\x{c04}\x{f82}\x{f83}\x{1dd3}-\x{1de6}\x{11080}\x{11081}\x{11241}\x{1171e})"},
    {"alpha", R"(\p{Alphabetic}\x{363}-\x{36f}\x{c04}\x{f82}\x{f83}\x{1dd3}-\x{1de6}\x{11080}\x{11081}\x{11241}\x{1171e})"},
    {"ascii", R"(\x{0}-\x{7f})"},
    {"blank", R"(\x{9}\p{Zs})"},
    {"cntrl", R"(\p{Cc})"},
    {"digit", R"(\p{Nd})"},
    {"graph", R"(\x{9}-\x{d}\x{20}\x{85}\p{Z}\p{Cc}\p{Cn}\p{Cs})", true},
    {"lower", R"(\p{Lowercase}\x{10fc}\x{a7f2}-\x{a7f4}\x{ab69})"},
    {"print", R"(\p{Zl}\p{Zp}\p{Cc}\p{Cn}\p{Cs})", true},
    {"punct", R"(\p{P})"},
    {"space", kSpaces},
    {"upper", R"(\p{Uppercase})"},
    {"xdigit", "0-9a-fA-F"},
    {"word", kWord},
};

constexpr std::string_view kScripts[] = {
    "Arabic",    "Armenian",  "Bengali", "Bopomofo", "Cyrillic", "Devanagari", "Ethiopic", "Georgian", "Greek",   "Gujarati",
    "Gurmukhi",  "Han",       "Hangul",  "Hebrew",   "Hiragana", "Kannada",    "Katakana", "Khmer",    "Lao",     "Latin",
    "Malayalam", "Mongolian", "Myanmar", "Oriya",    "Sinhala",  "Tamil",      "Telugu",   "Thai",     "Tibetan", "Common",
};

// Names of properties that PCRE2 does not know.
constexpr std::pair<std::string_view, std::string_view> kProperties[] = {
    {"Letter", "L"}, {"Mark", "M"}, {"Number", "N"}, {"Punctuation", "P"}, {"Symbol", "S"}, {"Separator", "Z"}, {"Other", "C"},
};

// Rewrites what PCRE2 and Oniguruma read differently: \s and \w (other sets of characters), \h (a hex digit), \u0041, sets inside
// sets and their intersections, {n,m}+ (greedy there, possessive here) and (?m) (dot matches line ends).
class Translator {
 public:
  Translator(std::string_view pattern, std::string_view where) : in_(pattern), where_(where) {}

  std::string run() {
    // Tried at each place of a run of spaces that no line end follows, this one is quadratic; matches are the same with the
    // guard.
    if (in_ == R"(\s+$)") return "(?:\\G|(?<![" + std::string(kSpaces) + "]))[" + std::string(kSpaces) + "]+$";
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        atom_ = out_.size();
        const auto named = class_escape(false);
        out_ += named                                                                      ? named->text()
                : in_.substr(at_).starts_with("\\b") || in_.substr(at_).starts_with("\\B") ? border()
                                                                                           : escape();
      } else if (c == '[') {
        atom_ = out_.size();
        ++at_;
        out_ += set(0).text();
      } else if (c == '(') {
        groups_.push_back(out_.size());
        open_group();
      } else if (c == ')') {
        if (!groups_.empty()) atom_ = groups_.back(), groups_.pop_back();
        out_ += c, ++at_;
      } else if (c == '{' && interval()) {
      } else {
        if (c != '+' && c != '*' && c != '?') atom_ = out_.size();
        out_ += c, ++at_;
      }
    }
    return out_;
  }

 private:
  // A set as members of one class, or as an expression for one character.
  struct Set {
    std::string members, expression;
    bool negated = false;
    std::string text() const { return expression.empty() ? (negated ? "[^" : "[") + members + "]" : expression; }
  };

  // A class of characters, or of all others.
  struct Class {
    std::string members;
    bool negated = false;
    std::string text() const { return (negated ? "[^" : "[") + members + "]"; }
  };

  // \b and \B, between word characters as \w has them.
  std::string border() {
    const std::string word = "[" + std::string(kWord) + std::string(kLatinWord) + "])";
    const bool inside = in_[at_ + 1] == 'B';
    at_ += 2;
    return "(?:(?<=" + word + (inside ? "(?=" : "(?!") + word + "|(?<!" + word + (inside ? "(?!" : "(?=") + word + ")";
  }

  static std::optional<Class> named_class(std::string_view name, bool negated) {
    std::string plain;
    for (const char c : name)
      if (c != ' ' && c != '_' && c != '-') plain += c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
    for (const NamedClass& c : kClasses)
      if (c.name == plain) return Class{std::string(c.members), negated != c.others};
    return std::nullopt;
  }

  // \s, \w, \h, \p{Alnum} and their like.
  std::optional<Class> class_escape(bool in_set) {
    const std::string_view rest = in_.substr(at_);
    if (rest.size() < 2) return std::nullopt;
    const bool upper = rest[1] >= 'A' && rest[1] <= 'Z';
    const char kind = upper ? char(rest[1] - 'A' + 'a') : rest[1];
    size_t length = 2;
    std::optional<Class> out;
    if (kind == 's' || kind == 'w' || kind == 'h') {
      out = named_class(kind == 's' ? "space" : kind == 'w' ? "word" : "xdigit", upper);
    } else if (kind == 'p' && rest.size() > 2 && rest[2] == '{') {
      const size_t end = rest.find('}');
      const bool other = rest.substr(3).starts_with('^');
      if (end != std::string_view::npos) out = named_class(rest.substr(3 + other, end - 3 - other), upper != other);
      length = end + 1;
    }
    if (!out) return out;
    at_ += length;
    if (out->members == kWord && !in_set) out->members += kLatinWord;
    return out;
  }

  // From after '[' to after its ']'.
  Set set(int depth) {
    require(depth <= kMaxSets, ErrorCode::unsupported, "{}: pattern '{}' nests sets deeper than {}", where_, in_, kMaxSets);
    Set out;
    std::vector<std::string> operands;
    std::string members, others;
    const auto put = [&](const Class& c) {
      if (c.negated)
        others += (others.empty() ? "" : "|") + c.text();
      else
        members += c.members;
    };
    const auto operand = [&] {
      std::string text = members.empty() ? std::string() : "[" + members + "]";
      if (!others.empty()) text = "(?:" + text + (text.empty() ? "" : "|") + others + ")";
      require(!text.empty(), ErrorCode::unsupported, "{}: pattern '{}' has an empty set", where_, in_);
      members.clear(), others.clear();
      return text;
    };
    if (at_ < in_.size() && in_[at_] == '^') out.negated = true, ++at_;
    if (at_ < in_.size() && in_[at_] == ']') members += "\\]", ++at_;
    for (; at_ < in_.size() && in_[at_] != ']';) {
      const std::string_view rest = in_.substr(at_);
      const size_t posix = rest.starts_with("[:") ? rest.find(":]") : std::string_view::npos;
      if (posix != std::string_view::npos) {
        const bool other = rest[2] == '^';
        const std::string_view name = rest.substr(2 + other, posix - 2 - other);
        std::optional<Class> named = named_class(name, other);
        require(named.has_value(), ErrorCode::unsupported, "{}: pattern '{}': [:{}:] is unknown", where_, in_, name);
        if (name == "punct") named->members += R"(\p{S})";
        put(*named);
        at_ += posix + 2;
      } else if (rest[0] == '[') {
        ++at_;
        const Set inner = set(depth + 1);
        if (!inner.negated && inner.expression.empty())
          members += inner.members;
        else
          others += (others.empty() ? "" : "|") + inner.text();
      } else if (rest.starts_with("&&")) {
        operands.push_back(operand());
        at_ += 2;
      } else if (const auto named = rest[0] == '\\' ? class_escape(true) : std::nullopt) {
        put(*named);
      } else if (rest[0] == '\\') {
        members += escape();
      } else {
        members += rest[0], ++at_;
      }
    }
    ++at_;
    if (operands.empty() && others.empty()) {
      out.members = members;
      return out;
    }
    const std::string last = operand();
    for (const std::string& o : operands) out.expression += "(?=" + o + ")";
    out.expression = out.negated ? "(?:(?!" + out.expression + last + ")(?s:.))" : "(?:" + out.expression + last + ")";
    return out;
  }

  // '(' and what goes with it up to the group's own text.
  void open_group() {
    out_ += in_[at_++];
    if (at_ >= in_.size() || in_[at_] != '?') return;
    size_t end = at_ + 1;
    while (end < in_.size() && std::string_view("imx-").find(in_[end]) != std::string_view::npos) ++end;
    const bool flags = end > at_ + 1 && end < in_.size() && (in_[end] == ':' || in_[end] == ')');
    for (; flags && at_ < end; ++at_) out_ += in_[at_] == 'm' ? 's' : in_[at_];
  }

  // {n,m}, where a '+' after it means once or more often.
  bool interval() {
    const size_t end = in_.find('}', at_);
    if (end == std::string_view::npos) return false;
    std::string inner(in_.substr(at_ + 1, end - at_ - 1));
    if (inner.empty() || inner.find_first_not_of("0123456789,") != std::string::npos || inner == ",") return false;
    if (inner[0] == ',') inner.insert(0, "0");
    out_ += "{" + inner + "}";
    at_ = end + 1;
    if (at_ < in_.size() && in_[at_] == '+') {
      out_.insert(atom_, "(?:");
      out_ += ")+", ++at_;
    }
    return true;
  }

  std::string escape() {
    if (at_ + 1 >= in_.size()) return ++at_, "\\";
    const char c = in_[at_ + 1];
    at_ += 2;
    switch (c) {
      case 'p':
      case 'P':
        return property(c);
      case 'u': {
        const std::string hex(in_.substr(at_, 4));
        at_ += hex.size();
        return "\\x{" + hex + "}";
      }
      default:
        return {'\\', c};
    }
  }

  // Oniguruma's \p{Han} is the script alone, PCRE2's also takes characters that several scripts share.
  std::string property(char c) {
    const size_t end = in_.substr(at_).starts_with('{') ? in_.find('}', at_) : std::string_view::npos;
    if (end == std::string_view::npos) return {'\\', c};
    std::string name(in_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    const bool negated = name.starts_with('^');
    if (negated) name.erase(0, 1);
    for (const auto& [theirs, ours] : kProperties)
      if (name == theirs) name = ours;
    if (std::find(std::begin(kScripts), std::end(kScripts), name) != std::end(kScripts)) name.insert(0, "sc:");
    return std::string("\\") + c + (negated ? "{^" : "{") + name + "}";
  }

  static constexpr int kMaxSets = 32;
  std::string_view in_, where_;
  size_t at_ = 0, atom_ = 0;  // atom_: where in the output the last atom begins
  std::vector<size_t> groups_;
  std::string out_;
};

}  // namespace

struct RegexScratch::Impl {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = nullptr;
  uint32_t searches = 0;

  ~Impl() {
    if (stack != nullptr) pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

RegexScratch::RegexScratch(size_t text_size) : budget(text_size), impl_(std::make_unique<Impl>()) {
  if (impl_->data == nullptr || impl_->context == nullptr) fail(ErrorCode::out_of_memory, "no memory to match a pattern");
  pcre2_set_match_limit(impl_->context, kFewSteps);
  pcre2_set_heap_limit(impl_->context, kHeapLimitKib);
}
RegexScratch::~RegexScratch() = default;

struct Regex::Impl {
  pcre2_code* code = nullptr;
  bool jit = false;
  std::string pattern;
  ~Impl() { pcre2_code_free(code); }
};

Regex::Regex(std::string_view pattern, std::string_view where) : impl_(std::make_unique<Impl>()) {
  require(pattern.size() <= kMaxPattern, ErrorCode::unsupported, "{}: a pattern of {} bytes; at most {} are read", where,
          pattern.size(), kMaxPattern);
  impl_->pattern = pattern;
  const std::string text = Translator(pattern, where).run();
  std::unique_ptr<pcre2_compile_context, void (*)(pcre2_compile_context*)> context(pcre2_compile_context_create(nullptr),
                                                                                   pcre2_compile_context_free);
  if (context) pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  size_t offset = 0;
  // Ruby's ^ and $ stand at every line.
  impl_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset, context.get());
  if (impl_->code == nullptr) {
    char message[160];
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
    fail(ErrorCode::unsupported, "{}: pattern '{}': {} (at byte {} of '{}')", where, pattern, message, offset, text);
  }
  impl_->jit = pcre2_jit_compile(impl_->code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD) == 0;
}
Regex::~Regex() = default;

// `part`: what the text goes on with is not shown; matches and failures that depend on it are PCRE2_ERROR_PARTIAL.
int Regex::match(std::string_view text, size_t from, bool part, RegexScratch& scratch) const {
  RegexScratch::Impl& s = *scratch.impl_;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.empty() ? "" : text.data());
  const uint32_t options = part ? PCRE2_PARTIAL_HARD : 0;
  if (!impl_->jit) return pcre2_match(impl_->code, subject, text.size(), from, options | PCRE2_NO_UTF_CHECK, s.data, s.context);
  const int rc = pcre2_jit_match(impl_->code, subject, text.size(), from, options, s.data, s.context);
  if (rc != PCRE2_ERROR_JIT_STACKLIMIT || s.stack != nullptr) return rc;
  s.stack = pcre2_jit_stack_create(64 << 10, kJitStackMax, nullptr);
  pcre2_jit_stack_assign(s.context, nullptr, s.stack);
  return pcre2_jit_match(impl_->code, subject, text.size(), from, options, s.data, s.context);
}

void Regex::spend(RegexScratch& scratch, uint64_t steps, size_t from) const {
  require(scratch.budget.spend(steps) && !scratch.budget.late(), ErrorCode::invalid_argument,
          "the text cannot be split by the tokenizer's pattern '{}': it takes too many steps, at byte {}; shorten the text",
          impl_->pattern, from);
}

// `steps`: how many the search may take; more, which the call pays for, until they are enough.
int Regex::match_within(std::string_view text, size_t from, bool part, uint32_t& steps, RegexScratch& scratch) const {
  int rc;
  while ((rc = match(text, from, part, scratch)) == PCRE2_ERROR_MATCHLIMIT) {
    spend(scratch, steps, from);
    steps = uint32_t(std::min<uint64_t>(uint64_t(steps) * kGrowth, std::max<uint64_t>(scratch.budget.steps, 1)));
    pcre2_set_match_limit(scratch.impl_->context, steps);
  }
  return rc;
}

// After the last attempt of a search.
void Regex::settle(int rc, uint32_t steps, size_t from, RegexScratch& scratch) const {
  if (steps > kFewSteps) {
    pcre2_set_match_limit(scratch.impl_->context, kFewSteps);
    spend(scratch, steps, from);
  }
  if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH || rc == PCRE2_ERROR_PARTIAL) return;
  char message[160];
  pcre2_get_error_message(rc, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
  fail(ErrorCode::invalid_argument, "the text cannot be split by the tokenizer's pattern '{}': {} at byte {}; shorten the text",
       impl_->pattern, message, from);
}

// A search sees a part of the text and may take a few steps; only where that is too little is it tried again with more. A step
// can itself look at many bytes (a run of letters is one), so that time is limited too.
bool Regex::find(std::string_view text, size_t from, RegexScratch& scratch, size_t& begin, size_t& end) const {
  RegexScratch::Impl& s = *scratch.impl_;
  size_t window = kFewBytes;
  uint32_t steps = kFewSteps;
  int rc;
  if (++s.searches % kClock == 0) spend(scratch, 0, from);
  while (true) {
    // The same end for many searches, so that it is in the cache when it is looked at.
    size_t shown = std::min(text.size(), (from / window + 2) * window);
    while (shown < text.size() && (uint8_t(text[shown]) & 0xc0) == 0x80) ++shown;
    const bool part = shown < text.size();
    rc = match_within(text.substr(0, shown), from, part, steps, scratch);
    if (!part || (rc != PCRE2_ERROR_PARTIAL && rc != PCRE2_ERROR_NOMATCH)) break;
    spend(scratch, shown - from, from);
    window *= kGrowth;
  }
  settle(rc, steps, from, scratch);
  if (rc == PCRE2_ERROR_NOMATCH) return false;
  const size_t* where = pcre2_get_ovector_pointer(s.data);
  // \K can put the start before `from` or after the end; neither may move the search backwards.
  begin = std::max(where[0], from);
  end = std::max(where[1], begin);
  return true;
}

Regex::Found Regex::find_certain(std::string_view text, size_t from, RegexScratch& scratch, size_t& begin, size_t& end) const {
  uint32_t steps = kFewSteps;
  const int rc = match_within(text, from, true, steps, scratch);
  settle(rc, steps, from, scratch);
  if (rc == PCRE2_ERROR_NOMATCH) return Found::none;
  const size_t* where = pcre2_get_ovector_pointer(scratch.impl_->data);
  begin = std::max(where[0], from);
  end = std::max(where[1], begin);
  if (rc == PCRE2_ERROR_PARTIAL) return Found::open;
  return begin == text.size() ? Found::none : Found::match;
}

std::string_view Regex::subject(std::string_view text, std::string& buffer) {
  if (is_ascii(text)) return text;
  static const auto pages = [] {  // 256 code points each: holds characters with stand-ins
    std::array<bool, 0x1100> out{};
    for (const unicode::Kind& k : unicode::stand_in())
      for (char32_t page = k.first >> 8; page <= k.last >> 8; ++page) out[page] = true;
    return out;
  }();
  bool copied = false;
  for (size_t at = 0, length; at < text.size(); at += length) {
    const char32_t code = utf8_next(text, at, length);
    if (code < 0x80 || !pages[code >> 8]) continue;
    const char32_t other = unicode::value_of(unicode::stand_in(), code);
    if (other == 0) continue;
    if (!copied) buffer.assign(text), copied = true;
    encode_utf8(other, buffer.data() + at);
  }
  return copied ? std::string_view(buffer) : text;
}

std::string Regex::escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = uint8_t(c) >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (c == '\0') {
      out += "\\x{0}";
    } else {
      if (!plain) out += '\\';
      out += c;
    }
  }
  return out;
}

}  // namespace gale
