#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace gale {

/// Keeps what somebody wrote from becoming control tokens once it stands in a prompt beside a template's own. Marks (U+FDD0,
/// which no text may use) show where; they never reach the model. Immutable.
class PlainText {
 public:
  /// REQUIRES: the tokenizer outlives it.
  explicit PlainText(const Tokenizer& tokenizer);

  /// `content` with a mark inside all that reads like a special token. Marks of its own become U+FFFD.
  std::string guard(std::string_view content) const;
  /// `prompt` without its marks.
  static std::string without_marks(std::string_view prompt);
  /// Ids of a prompt: where a mark stood no special token is read.
  std::vector<TokenId> encode(std::string_view prompt, EncodeOptions options) const;

 private:
  const Tokenizer& tokenizer_;
  std::vector<std::string> specials_;
};

}  // namespace gale
