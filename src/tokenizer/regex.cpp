#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include <pcre2.h>

#include <algorithm>
#include <cstdint>

#include "base/fail.h"

namespace gale {
namespace {

constexpr size_t kMaxPattern = 1 << 16;
constexpr uint32_t kHeapLimitKib = 64 << 10;  // for the interpreter, where the JIT cannot run
constexpr size_t kJitStackMax = size_t(32) << 20;

constexpr std::string_view kSpaces =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";

// Rewrites what PCRE2 and Oniguruma read differently: \s and \w (other sets of characters), \h (a hex digit), \u0041, and sets
// inside sets.
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
        escape();
      } else if (depth_ > 0) {
        in_set(c);
      } else {
        if (c == '[')
          open_set();
        else
          out_ += c, ++at_;
      }
    }
    return out_;
  }

 private:
  void open_set() {
    out_ += '[', ++at_, depth_ = 1;
    if (at_ < in_.size() && in_[at_] == '^') out_ += '^', ++at_;
    if (at_ < in_.size() && in_[at_] == ']') out_ += "\\]", ++at_;
  }

  void in_set(char c) {
    if (c == '[' && in_.substr(at_).starts_with("[:")) {
      const size_t end = in_.find(":]", at_);
      if (end != std::string_view::npos) {
        out_ += in_.substr(at_, end + 2 - at_), at_ = end + 2;
        return;
      }
    }
    if (c == '[') {  // a set inside a set adds its members
      require(!in_.substr(at_).starts_with("[^"), ErrorCode::unsupported, "{}: pattern '{}' has a negated set inside a set",
              where_, in_);
      ++depth_, ++at_;
    } else if (c == ']') {
      if (--depth_ == 0) out_ += ']';
      ++at_;
    } else {
      require(!in_.substr(at_).starts_with("&&"), ErrorCode::unsupported, "{}: pattern '{}' intersects sets (&&)", where_, in_);
      out_ += c, ++at_;
    }
  }

  void escape() {
    if (at_ + 1 >= in_.size()) {
      out_ += '\\', ++at_;
      return;
    }
    const char c = in_[at_ + 1];
    at_ += 2;
    const bool set = depth_ > 0;
    switch (c) {
      case 's':
        add_class(kSpaces, false);
        break;
      case 'w':
        add_class(kWord, false);
        break;
      case 'h':
        add_class("0-9a-fA-F", false);
        break;
      case 'S':
        set ? out_ += "\\S" : (add_class(kSpaces, true), out_);
        break;
      case 'W':
        set ? out_ += "\\W" : (add_class(kWord, true), out_);
        break;
      case 'u':
        out_ += "\\x{", out_ += in_.substr(at_, 4), out_ += '}';
        at_ += std::min<size_t>(4, in_.size() - at_);
        break;
      default:
        out_ += '\\', out_ += c;
    }
  }

  void add_class(std::string_view members, bool negated) {
    if (depth_ > 0) {
      out_ += members;
    } else {
      out_ += negated ? "[^" : "[", out_ += members, out_ += ']';
    }
  }

  std::string_view in_, where_;
  size_t at_ = 0;
  int depth_ = 0;
  std::string out_;
};

}  // namespace

struct RegexScratch::Impl {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = nullptr;

  ~Impl() {
    if (stack != nullptr) pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

RegexScratch::RegexScratch(size_t text_size) : impl_(std::make_unique<Impl>()) {
  if (impl_->data == nullptr || impl_->context == nullptr) fail(ErrorCode::out_of_memory, "no memory to match a pattern");
  const uint64_t steps = 10'000'000 + 64 * uint64_t(text_size);
  pcre2_set_match_limit(impl_->context, uint32_t(std::min<uint64_t>(steps, UINT32_MAX)));
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
  impl_->jit = pcre2_jit_compile(impl_->code, PCRE2_JIT_COMPLETE) == 0;
}
Regex::~Regex() = default;

bool Regex::find(std::string_view text, size_t from, RegexScratch& scratch, size_t& begin, size_t& end) const {
  RegexScratch::Impl& s = *scratch.impl_;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.empty() ? "" : text.data());
  int rc;
  if (impl_->jit) {
    rc = pcre2_jit_match(impl_->code, subject, text.size(), from, 0, s.data, s.context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT && s.stack == nullptr) {
      s.stack = pcre2_jit_stack_create(64 << 10, kJitStackMax, nullptr);
      pcre2_jit_stack_assign(s.context, nullptr, s.stack);
      rc = pcre2_jit_match(impl_->code, subject, text.size(), from, 0, s.data, s.context);
    }
  } else {
    rc = pcre2_match(impl_->code, subject, text.size(), from, PCRE2_NO_UTF_CHECK, s.data, s.context);
  }
  if (rc == PCRE2_ERROR_NOMATCH) return false;
  if (rc < 0) {
    char message[160];
    pcre2_get_error_message(rc, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
    fail(ErrorCode::invalid_argument, "the text cannot be split by the tokenizer's pattern '{}': {} at byte {}; shorten the text",
         impl_->pattern, message, from);
  }
  const size_t* where = pcre2_get_ovector_pointer(s.data);
  begin = where[0];
  end = where[1];
  // \K can put the start before `from` or after the end; neither may move the search backwards.
  if (begin < from) begin = from;
  if (end < begin) end = begin;
  return true;
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
