#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gale {

using TokenId = int32_t;

/// Tokens and what they stand for; all lists are equally long.
struct Encoding {
  /// Bytes [begin, end) of the text that was given; both 0 for tokens that stand for no text.
  struct Offset {
    uint32_t begin = 0, end = 0;
    bool operator==(const Offset&) const = default;
  };
  std::vector<TokenId> ids;
  std::vector<Offset> offsets;
  std::vector<int32_t> type_ids;        ///< 0 for the first text, 1 for the second, unless the post-processor says otherwise
  std::vector<uint8_t> special_mask;    ///< 1: added by the post-processor or by padding
  std::vector<uint8_t> attention_mask;  ///< 0: padding

  size_t size() const { return ids.size(); }
  void add(TokenId id, Offset offset, int32_t type, bool special) {
    ids.push_back(id);
    offsets.push_back(offset);
    type_ids.push_back(type);
    special_mask.push_back(special);
    attention_mask.push_back(1);
  }
  void append(const Encoding& other);
  /// Keeps the first, or the last, `n` tokens.
  void keep(size_t n, bool last);
};

/// How texts that are too long are cut: tokenizer.json's `truncation`.
struct Truncation {
  enum class Strategy { longest_first, only_first, only_second };
  size_t max_length = 512;  ///< tokens, with those the post-processor adds
  Strategy strategy = Strategy::longest_first;
  bool left = false;  ///< tokens go from the left end
};

/// How texts that are too short are filled up: tokenizer.json's `padding`.
struct Padding {
  std::optional<size_t> length;  ///< nullopt: that of the longest in the batch
  size_t multiple_of = 1;
  TokenId id = 0;
  int32_t type_id = 0;
  bool left = false;
};

/// Cuts so that `added` more tokens fit. `pair`: nullptr where there is one text. Throws Error{invalid_argument} where the
/// strategy's text is too short to give that many tokens away.
void truncate(Encoding& text, Encoding* pair, size_t added, const Truncation& how);
/// Fills up all to one length.
void pad(std::vector<Encoding>& batch, const Padding& how);

}  // namespace gale
