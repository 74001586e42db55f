#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/aho_corasick.h"
#include "tokenizer/tokenizer.h"

namespace gale {

/// A token that is looked for in the text before anything else.
struct AddedToken {
  TokenId id;
  std::string content;
  bool special = false;
  bool single_word = false;             ///< not inside a word
  bool lstrip = false, rstrip = false;  ///< takes the spaces before or after it along
  bool normalized = false;              ///< looked for in the normalized text
  bool as_written = false;              ///< and the normalizer leaves it as it is

  bool plain() const { return !single_word && !lstrip && !rstrip; }
};

/// Finds added tokens in text: at each place from the left, the longest one; of equal ones the first special one. Linear in the
/// text, whatever the tokens. Immutable.
class AddedTokenFinder {
 public:
  /// Throws Error{unsupported} for a token longer than 64 KiB.
  explicit AddedTokenFinder(std::vector<AddedToken> tokens = {});

  bool empty() const { return tokens_.empty(); }
  /// Calls text(begin, end) for what lies between tokens and token(id, begin, end) for tokens, in order. Tokens are text where
  /// `allowed(token, begin, end)` says no.
  template <class Allowed, class Text, class Token>
  void split(std::string_view input, Allowed allowed, Text text, Token token) const {
    size_t done = 0, from = 0;
    Spaces spaces;
    const std::vector<Place> places = find(input);
    for (auto place = places.rbegin(); place != places.rend(); ++place) {
      if (place->begin < from) continue;
      const AddedToken& found = tokens_[place->token];
      size_t begin = place->begin, end = from = begin + found.content.size();
      if (!allowed(found, begin, end) || !accepts(found, input, begin, end)) continue;
      stretch(found, input, done, begin, end, spaces);
      if (begin > done) text(done, begin);
      if (begin < end) token(found.id, begin, end);  // else the token before took all of it along
      done = end;
    }
    if (done < input.size()) text(done, input.size());
  }

  struct Place {
    uint32_t begin, token;
  };
  /// All places where a token begins, the last one first, with the longest token there.
  std::vector<Place> find(std::string_view text) const;
  size_t bytes(Place place) const { return tokens_[place.token].content.size(); }

 private:
  /// The last spaces that were looked through, so that none are so twice.
  struct Spaces {
    size_t begin = 0, end = 0;
  };
  static bool accepts(const AddedToken& token, std::string_view text, size_t begin, size_t end);
  static void stretch(const AddedToken& token, std::string_view text, size_t done, size_t& begin, size_t& end, Spaces& spaces);

  std::vector<AddedToken> tokens_;
  std::vector<uint32_t> order_;  // indices of tokens_, of equal ones the wanted one last
  AhoCorasick backwards_;        // of the tokens' bytes from their ends, in that order
};

}  // namespace gale
