#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

#include "base/fail.h"
#include "tokenizer/regex_translate.h"
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

// Digits in threes from the right, as some tokenizers cut numbers: at each digit these look at all that follow, so that long
// numbers take quadratic time. They are found by counting instead.
struct Threes {
  std::string_view pattern, digits;
  bool between;  // what matches is the empty text before each three, else the digits themselves
  bool border;   // the number ends a word
};
constexpr Threes kThrees[] = {
    {R"((?=(\d{3})+(?!\d)))", R"(\d+)", true, false},
    {R"((?=(?:\d{3})+(?!\d)))", R"(\d+)", true, false},
    {R"(\d{1,3}(?=(?:\d{3})*\b))", R"(\d+)", false, true},
    {R"(\d{1,3}(?=(\d{3})*\b))", R"(\d+)", false, true},
    {R"(\p{Nd}{1,3}(?=(?:\p{Nd}{3})*(?!\p{Nd})))", R"(\p{Nd}+)", false, false},
};

constexpr int kLookbehindOfAnyLength = 125;  // PCRE2's number for it, under names that changed

// Null and an error where PCRE2 does not take it.
pcre2_code* compile(const std::string& text, int& error, size_t& offset) {
  std::unique_ptr<pcre2_compile_context, void (*)(pcre2_compile_context*)> context(pcre2_compile_context_create(nullptr),
                                                                                   pcre2_compile_context_free);
  if (context) pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  // Ruby's ^ and $ stand at every line.
  return pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                       PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset, context.get());
}

// The next `n` characters of a text, in bytes.
size_t bytes_of(std::string_view text, size_t n) {
  size_t at = 0;
  while (n-- > 0) at += utf8_length(text[at]);
  return at;
}

}  // namespace

struct RegexScratch::Impl {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = nullptr;
  uint32_t searches = 0;
  // The number that a search for threes is in: `left` digits from `at` to `end`.
  struct Number {
    const Regex* of = nullptr;
    std::string_view text;
    size_t at = 0, end = 0, left = 0;
  } number;

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
  bool exact = false;  // see TranslatedRegex
  std::string pattern;
  const Threes* threes = nullptr;
  std::unique_ptr<const Regex> digits, border;  // of threes
  ~Impl() { pcre2_code_free(code); }
};

Regex::Regex(std::string_view pattern, std::string_view where) : impl_(std::make_unique<Impl>()) {
  require(pattern.size() <= kMaxPattern, ErrorCode::unsupported, "{}: a pattern of {} bytes; at most {} are read", where,
          pattern.size(), kMaxPattern);
  impl_->pattern = pattern;
  int error = 0;
  size_t offset = 0;
  TranslatedRegex translated = translate_regex(pattern, where);
  impl_->code = compile(translated.text, error, offset);
  const bool refers =
      pattern.find("\\k") != pattern.npos || pattern.find("\\g") != pattern.npos || pattern.find("\\1") != pattern.npos;
  if (impl_->code == nullptr && error == kLookbehindOfAnyLength && !refers) {
    translated = translate_regex(pattern, where, true);
    impl_->code = compile(translated.text, error, offset);
  }
  impl_->exact = translated.exact;
  if (impl_->code == nullptr) {
    char message[160];
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
    fail(ErrorCode::unsupported, "{}: pattern '{}': {} (at byte {} of '{}')", where, pattern, message, offset, translated.text);
  }
  const Threes* threes = std::ranges::find(kThrees, pattern, &Threes::pattern);
  if (threes != std::end(kThrees)) {
    impl_->threes = threes;
    impl_->digits = std::make_unique<const Regex>(threes->digits, where);
    if (threes->border) impl_->border = std::make_unique<const Regex>("\\b", where);
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
  if (impl_->threes != nullptr) return find_threes(text, from, scratch, begin, end);
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

bool Regex::find_threes(std::string_view text, size_t from, RegexScratch& scratch, size_t& begin, size_t& end) const {
  auto& number = scratch.impl_->number;
  const bool known = number.of == this && number.text.data() == text.data() && number.text.size() == text.size() && from > 0 &&
                     from >= number.at && from < number.end;
  if (known) {
    for (; number.at < from; --number.left) number.at += utf8_length(text[number.at]);
  } else {
    number = {this, text};
  }
  while (true) {
    if (number.left > (impl_->threes->between ? 2 : 0)) {
      const size_t over = number.left % 3;
      begin = number.at + (impl_->threes->between ? bytes_of(text.substr(number.at), over) : 0);
      end = begin + (impl_->threes->between ? 0 : bytes_of(text.substr(begin), over > 0 ? over : 3));
      return true;
    }
    from = std::max(from, number.end);
    size_t stop = 0, next = 0, same = 0;
    if (!impl_->digits->find(text, from, scratch, number.at, stop)) return false;
    number.end = stop;
    number.left = 0;
    if (impl_->border != nullptr && !(impl_->border->find(text, stop, scratch, next, same) && next == stop)) continue;
    for (size_t at = number.at; at < stop; at += utf8_length(text[at])) ++number.left;
  }
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

std::string_view Regex::subject(std::string_view text, std::string& buffer) const {
  if (impl_->exact || is_ascii(text)) return text;
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
