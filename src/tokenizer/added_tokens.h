#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

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

  bool plain() const { return !single_word && !lstrip && !rstrip; }
};

/// Finds added tokens in text: at each place from the left, the longest one; of equal ones the first special one. Immutable.
class AddedTokenFinder {
 public:
  /// Throws Error{unsupported} for a token longer than 4096 bytes.
  explicit AddedTokenFinder(std::vector<AddedToken> tokens = {});

  bool empty() const { return tokens_.empty(); }
  /// Calls text(begin, end) for what lies between tokens and token(id, begin, end) for tokens, in order. Special tokens are text
  /// unless `special(begin, end)` allows them there.
  template <class Special, class Text, class Token>
  void split(std::string_view input, Special special, Text text, Token token) const {
    size_t done = 0;
    for (size_t from = 0; from < input.size();) {
      size_t begin, end;
      const AddedToken* found = find(input, from, begin, end);
      if (found == nullptr) break;
      from = end;
      if ((found->special && !special(begin, end)) || !accepts(*found, input, begin, end)) continue;
      stretch(*found, input, done, begin, end);
      if (begin > done) text(done, begin);
      token(found->id, begin, end);
      done = end;
    }
    if (done < input.size()) text(done, input.size());
  }

 private:
  void add(int32_t index);
  const AddedToken* find(std::string_view text, size_t from, size_t& begin, size_t& end) const;
  static bool accepts(const AddedToken& token, std::string_view text, size_t begin, size_t end);
  static void stretch(const AddedToken& token, std::string_view text, size_t done, size_t& begin, size_t& end);

  std::vector<AddedToken> tokens_;
  std::array<uint8_t, 256> starts_{};             // the byte begins a token
  std::unordered_map<uint64_t, uint32_t> edges_;  // node and byte -> node
  std::vector<int32_t> token_at_;                 // node -> token, -1
};

}  // namespace gale
