#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace gale {

/// Tells a text in the tokens of one vocabulary to a model that has another, and its guesses back. Goes through the text's bytes.
/// Where a tokenizer would not have cut a text as it is cut, a guess is a worse one or none: nothing else hangs on it.
class Translation {
 public:
  /// `theirs`: the text's vocabulary; `ours`: that of the model that guesses. Both outlive this. Throws Error{unsupported} where
  /// a tokenizer's text is not its tokens' pieces in a row.
  Translation(const Tokenizer& theirs, const Tokenizer& ours);
  /// One text's token ids are the other's: there is nothing to translate.
  static bool is_needless(const Tokenizer& a, const Tokenizer& b);

  /// What is known of one text.
  struct Text {
    std::vector<TokenId> tokens;  ///< ours
    size_t stable = 0;            ///< of these, the first that stay; those behind them may be cut differently as the text grows
    size_t taken = 0;             ///< of their tokens
    std::string tail;             ///< the bytes that the tokens behind the stable ones stand for
  };
  /// Takes in what `text` has more than at the last call: O(1) a token.
  void follow(Text& out, std::span<const TokenId> text) const;
  /// Their tokens for what `guess`, in ours, says behind `text`. Empty where no token of theirs begins there.
  std::vector<TokenId> back(std::span<const TokenId> text, std::span<const TokenId> guess) const;

 private:
  void settle(Text& out, bool all) const;
  std::string end_of(std::span<const TokenId> text) const;

  const Tokenizer &theirs_, &ours_;
  std::vector<TokenId> their_begin_, our_begin_;  // what begins every text
};

}  // namespace gale
