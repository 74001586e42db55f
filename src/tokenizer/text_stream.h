#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tokenizer/prefix_match.h"
#include "tokenizer/tokenizer.h"

namespace gale {

/// Token ids to text, piece by piece: never gives out half a UTF-8 character, nor text that may still turn out to be the start of
/// a stop string. Bytes that can no longer become valid UTF-8 come out as U+FFFD. One per choice; not thread-safe. The stop
/// string that is complete first ends the text (of several at once, the longest), however the text is cut into tokens.
class TextStream {
 public:
  /// REQUIRES: the tokenizer outlives the stream. Empty stop strings, and those that are not UTF-8, never match.
  /// `min_tokens`: stop strings are looked for in what comes after so many tokens.
  TextStream(const Tokenizer& tokenizer, std::vector<std::string> stop_strings, bool show_special = false,
             int64_t min_tokens = 0);

  /// Text that became certain with this token. After a stop string was met: always "".
  std::string push(TokenId id);
  /// What is held back, at the end of generation; an unfinished character becomes U+FFFD.
  std::string flush();
  bool stopped() const { return !stop_.empty(); }
  /// The stop string that ended the text, "" while none has.
  const std::string& stop() const { return stop_; }

 private:
  std::string release(bool final);

  std::unique_ptr<TokenDecoder> decoder_;
  std::vector<PrefixMatch> stops_;
  int64_t min_tokens_;  // still to come before stop strings count
  std::string tail_;    // bytes of an unfinished character
  std::string held_;    // valid text that may be the start of a stop string
  std::string stop_;
};

}  // namespace gale
