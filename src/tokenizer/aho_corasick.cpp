#include "tokenizer/aho_corasick.h"

namespace gale {

// A trie's nodes lie in the order of their depth, so that what a node falls back to is known before it.
AhoCorasick::AhoCorasick(std::span<const std::string_view> texts)
    : trie_(texts), shorter_(trie_.size(), Trie::kRoot), ending_(trie_.size(), Trie::kRoot), depth_(trie_.size(), 0) {
  for (uint32_t node = Trie::kRoot; node < trie_.size(); ++node) {
    ending_[node] = trie_.value(node) >= 0 ? node : ending_[shorter_[node]];
    trie_.for_each_child(node, [&](uint32_t child, char byte) {
      depth_[child] = depth_[node] + 1;
      if (node != Trie::kRoot) shorter_[child] = next(shorter_[node], byte);
    });
  }
}

}  // namespace gale
