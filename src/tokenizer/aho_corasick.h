#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/trie.h"

namespace gale {

/// Many texts looked for at once, in time linear in the text that is searched (Aho and Corasick, 1975). Immutable.
class AhoCorasick {
 public:
  /// Of equal texts the last one stands. Empty texts, and those longer than Trie takes, are never found.
  explicit AhoCorasick(std::span<const std::string_view> texts = {});

  /// The state after one more byte: the longest start of a text that what was read so far ends with.
  uint32_t next(uint32_t state, char byte) const noexcept {
    uint32_t to;
    while ((to = trie_.next(state, byte)) == Trie::kNone && state != Trie::kRoot) state = shorter_[state];
    return to == Trie::kNone ? Trie::kRoot : to;
  }
  /// Whether the byte leads anywhere from the root: most do not, and are soon passed over.
  bool begins(char byte) const noexcept { return trie_.first(byte) != Trie::kNone; }
  /// The longest start of a text that is a proper end of this state's. REQUIRES: `state` is not the root.
  uint32_t shorter(uint32_t state) const noexcept { return shorter_[state]; }
  /// The state that is the longest whole text which this one ends with, or the root.
  uint32_t ending(uint32_t state) const noexcept { return ending_[state]; }
  /// Index of the text that the state is, or -1.
  int32_t value(uint32_t state) const noexcept { return trie_.value(state); }
  /// Bytes of the state's text.
  uint32_t depth(uint32_t state) const noexcept { return depth_[state]; }

 private:
  Trie trie_;
  std::vector<uint32_t> shorter_, ending_, depth_;
};

}  // namespace gale
