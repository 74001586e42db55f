#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "tokenizer/budget.h"

namespace gale {

/// Working memory for matching, one per encode call; shared by all patterns of a tokenizer.
class RegexScratch {
 public:
  /// `text_size`: how much text the call has.
  explicit RegexScratch(size_t text_size);
  ~RegexScratch();
  RegexScratch(const RegexScratch&) = delete;
  RegexScratch& operator=(const RegexScratch&) = delete;

  Budget budget;

 private:
  friend class Regex;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A regular expression as tokenizer.json files write them: Oniguruma with Ruby syntax over Unicode, run by PCRE2 with its JIT.
/// Immutable and shared between threads.
class Regex {
 public:
  /// Throws Error{unsupported} for a pattern that PCRE2 cannot compile or that it would read otherwise than Oniguruma.
  /// `where` names the pattern's place in messages.
  Regex(std::string_view pattern, std::string_view where);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  /// `text` as this pattern must see it, of the same length: characters that PCRE2's Unicode may not know are replaced by older
  /// ones of the same category. In `buffer` where there are such, else the text itself. REQUIRES: `text` is valid UTF-8.
  std::string_view subject(std::string_view text, std::string& buffer) const;

  /// The first match at or after `from`. REQUIRES: `text` is a subject and `from` lies between characters.
  /// Throws Error{invalid_argument} when the searches of a call take more steps than any sane text needs.
  bool find(std::string_view text, size_t from, RegexScratch& scratch, size_t& begin, size_t& end) const;

  enum class Found { none, match, open };
  /// The same in a text that will go on, as far as that cannot change it. `open`: there may be a match from `begin` on.
  /// `none`: there is none but may be one that begins where the text now ends.
  Found find_certain(std::string_view text, size_t from, RegexScratch& scratch, size_t& begin, size_t& end) const;

  /// Pattern that matches exactly this text.
  static std::string escape(std::string_view text);

 private:
  bool find_threes(std::string_view text, size_t from, RegexScratch& scratch, size_t& begin, size_t& end) const;
  int match(std::string_view text, size_t from, bool part, RegexScratch& scratch) const;
  int match_within(std::string_view text, size_t from, bool part, uint32_t& steps, RegexScratch& scratch) const;
  void settle(int rc, uint32_t steps, size_t from, RegexScratch& scratch) const;
  void spend(RegexScratch& scratch, uint64_t steps, size_t from) const;

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Calls visit(begin, end, is_match) for all matches and the gaps between them, in order; an empty match is visited once.
template <class Visit>
void for_each_match(const Regex& regex, std::string_view text, RegexScratch& scratch, Visit visit) {
  if (text.empty()) return;  // where the reference finds nothing, not even nothing
  size_t from = 0, done = 0, last_end = std::string_view::npos, begin, end;
  while (from <= text.size() && regex.find(text, from, scratch, begin, end)) {
    if (begin == end && begin == last_end) {  // empty, where the last match ended: go on one character later
      if (++from > text.size()) break;
      while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xc0) == 0x80) ++from;
      continue;
    }
    if (begin > done) visit(done, begin, false);
    visit(begin, end, true);
    from = done = last_end = end;
  }
  if (done < text.size()) visit(done, text.size(), false);
}

}  // namespace gale
