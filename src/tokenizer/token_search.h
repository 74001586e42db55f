#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace gale {

// Tokens by the bytes they stand for, whatever way a text is cut into them: sequence breakers, stop strings, token healing.
// Special tokens are left out: they stand for no text. Each call looks through the whole vocabulary once.

/// A token and how many bytes of the text it covers.
struct TokenOverlap {
  TokenId id;
  size_t bytes;
  bool operator==(const TokenOverlap&) const = default;
};

/// Tokens whose bytes hold the whole text. Empty for an empty text.
std::vector<TokenId> tokens_containing(const Tokenizer& tokenizer, std::string_view text);
/// Tokens that the text can begin in: their bytes end with its first `bytes` (fewer than all of them); one entry for each such
/// count.
std::vector<TokenOverlap> tokens_beginning(const Tokenizer& tokenizer, std::string_view text);
/// Tokens that can come next where `text` is still to come: their bytes begin with it (`bytes` is its length) or it with them.
/// Walking on from each one's bytes gives every way to write a text.
std::vector<TokenOverlap> tokens_continuing(const Tokenizer& tokenizer, std::string_view text);

/// A prompt whose end was taken back, and the text that must come first in its place.
struct Healed {
  std::vector<TokenId> ids;
  std::string text;  ///< "" where nothing was taken back
};
/// Takes back tokens at the end of a prompt ("http" ":") as long as some token ("://") begins with their text and goes on, so
/// that the model can choose that one; at most `most` of them, and never a special one.
Healed heal(const Tokenizer& tokenizer, std::vector<TokenId> ids, size_t most = 4);

}  // namespace gale
