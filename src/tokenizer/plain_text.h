#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/aho_corasick.h"
#include "tokenizer/tokenizer.h"

namespace gale {

/// Keeps what somebody wrote from becoming control tokens once it stands in a prompt beside a template's own. Marks (U+FDD0,
/// which no text may use) show where; they never reach the model. Immutable.
class PlainText {
 public:
  /// Guards against special tokens, and against added ones that `template_source` names: markers such as "<|User|>" are not
  /// special in every vocabulary. Those of nothing but spaces stay: they mark nothing. REQUIRES: the tokenizer outlives it.
  explicit PlainText(const Tokenizer& tokenizer, std::string_view template_source = "");

  /// `content` with a mark inside all that reads like such a token, or like the beginning of one at its end. Marks of its own
  /// become U+FFFD.
  std::string guard(std::string_view content) const;
  /// `prompt` without its marks.
  static std::string without_marks(std::string_view prompt);
  /// Ids of a prompt: where a mark stood no special or added token is read.
  std::vector<TokenId> encode(std::string_view prompt, EncodeOptions options) const;

 private:
  void mark_tokens(std::string_view part, std::vector<bool>& begins) const;
  void mark_rewritten(std::string_view part, std::vector<bool>& begins) const;

  const Tokenizer& tokenizer_;
  std::vector<bool> added_, guarded_;  // by id
  size_t unfinished_ = 0;              // at most so many bytes, once rewritten, begin a guarded token and do not end it
  AhoCorasick forwards_, backwards_;   // the guarded tokens
};

}  // namespace gale
