#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
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
  /// What truncation cut off, in windows that are as long as what was kept; of two texts all windows of the one with all of the
  /// other. Not one of the lists above.
  std::vector<Encoding> overflowing;

  size_t size() const { return ids.size(); }
  void add(TokenId id, Offset offset, int32_t type, bool special) {
    ids.push_back(id);
    offsets.push_back(offset);
    type_ids.push_back(type);
    special_mask.push_back(special);
    attention_mask.push_back(1);
  }
  void append(const Encoding& other);
  /// Tokens [begin, end).
  Encoding part(size_t begin, size_t end) const;
};

/// How texts that are too long are cut: tokenizer.json's `truncation`.
struct Truncation {
  enum class Strategy { longest_first, only_first, only_second };
  size_t max_length = 512;  ///< tokens, with those the post-processor adds
  Strategy strategy = Strategy::longest_first;
  size_t stride = 0;  ///< tokens that a window of what is cut off shares with the one before
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

/// Tokens [begin, end): first what is kept of a text, then what is cut off.
using Windows = std::vector<std::pair<size_t, size_t>>;
struct Cut {
  Windows text, pair;
};
/// Where texts of `text` and `pair` tokens (nullopt: there is one text) are cut so that `added` more fit. Throws
/// Error{invalid_argument} where the strategy's text is too short to give that many tokens away, or the stride too long.
Cut cut(size_t text, std::optional<size_t> pair, size_t added, const Truncation& how);
/// Fills up all to one length.
void pad(std::vector<Encoding>& batch, const Padding& how);

}  // namespace gale
