#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace gale {

/// Texts by their starts, in flat arrays. Immutable.
class Trie {
 public:
  /// Of equal texts the last one stands. Empty texts are left out. Texts longer than 64 KiB too.
  explicit Trie(std::span<const std::string_view> texts = {});

  static constexpr uint32_t kRoot = 0, kNone = ~uint32_t(0);
  /// The node one byte further, kNone where no text goes on like this.
  uint32_t next(uint32_t node, char byte) const noexcept;
  /// The same from the root.
  uint32_t first(char byte) const noexcept { return first_[uint8_t(byte)]; }
  uint32_t walk(uint32_t node, std::string_view text) const noexcept {
    for (size_t i = 0; i < text.size() && node != kNone; ++i) node = next(node, text[i]);
    return node;
  }
  /// Number of nodes; they lie in the order of their depth.
  uint32_t size() const noexcept { return uint32_t(nodes_.size()); }
  /// Calls visit(child, byte) for each child.
  template <class Visit>
  void for_each_child(uint32_t node, Visit visit) const {
    for (uint32_t i = 0; i < nodes_[node].count; ++i) visit(nodes_[node].children + i, bytes_[nodes_[node].children + i]);
  }
  /// Index of the text that ends at the node, or -1.
  int32_t value(uint32_t node) const noexcept { return nodes_[node].value; }

 private:
  struct Node {
    uint32_t children;  // first of them; they lie side by side in the order of their bytes
    uint16_t count;
    int32_t value;
  };
  std::vector<Node> nodes_;
  std::vector<char> bytes_;      // by node: the byte that leads to it
  std::vector<uint32_t> first_;  // by byte: child of the root
};

}  // namespace gale
