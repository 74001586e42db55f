#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace gale {

/// A byte-level BPE as tiktoken has it: texts with ranks and nothing else. Two neighbours merge where together they are a text,
/// lower ranks first.
struct RankVocab {
  struct Special {
    TokenId id;
    std::string text;
    bool control = true;
  };
  std::vector<std::string> texts;  ///< bytes, by rank; "" where no text has it
  TokenId first = 0;               ///< id of rank 0
  std::string pattern;             ///< regular expression that cuts words
  std::vector<Special> specials;
  std::optional<TokenId> bos, eos, unk, pad;
  bool add_bos = false;
};

/// Lines of base64, a space and the rank. The pattern and the special tokens are the caller's. Throws Error{corrupt} naming the
/// line.
RankVocab read_tiktoken(std::string_view text);
/// Mistral's tekken.json. Throws Error{corrupt} with a JSON pointer.
RankVocab read_tekken(std::string_view text);
/// Throws Error{corrupt} for ids out of range and Error{unsupported} for a pattern that cannot be read.
std::unique_ptr<Tokenizer> make_tokenizer(RankVocab vocab);

}  // namespace gale
