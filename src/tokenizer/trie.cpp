#include "tokenizer/trie.h"

#include <algorithm>
#include <cstring>

namespace gale {
namespace {

constexpr size_t kMaxText = size_t(1) << 16;

}  // namespace

Trie::Trie(std::span<const std::string_view> texts) : nodes_(1, Node{0, 0, -1}), bytes_(1, '\0'), first_(256, kNone) {
  std::vector<int32_t> order;
  order.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i)
    if (!texts[i].empty() && texts[i].size() <= kMaxText) order.push_back(int32_t(i));
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    const int c = texts[size_t(a)].compare(texts[size_t(b)]);
    return c != 0 ? c < 0 : a < b;
  });
  struct Range {
    size_t begin, end;  // in order
  };
  std::vector<Range> level{{0, order.size()}}, below;
  uint32_t node = 0;
  for (size_t depth = 0; !level.empty(); ++depth) {  // all nodes of a depth, so that children lie side by side
    below.clear();
    for (Range r : level) {
      while (r.begin < r.end && texts[size_t(order[r.begin])].size() == depth) nodes_[node].value = order[r.begin++];
      nodes_[node].children = uint32_t(nodes_.size());
      while (r.begin < r.end) {
        const char byte = texts[size_t(order[r.begin])][depth];
        size_t end = r.begin;
        while (end < r.end && texts[size_t(order[end])][depth] == byte) ++end;
        below.push_back({r.begin, end});
        nodes_.push_back({0, 0, -1});
        bytes_.push_back(byte);
        ++nodes_[node].count;
        r.begin = end;
      }
      ++node;
    }
    level.swap(below);
  }
  for (uint32_t i = 0; i < nodes_[0].count; ++i) first_[uint8_t(bytes_[1 + i])] = 1 + i;
}

uint32_t Trie::next(uint32_t node, char byte) const noexcept {
  if (node == kRoot) return first_[uint8_t(byte)];
  const Node& n = nodes_[node];
  const char* children = bytes_.data() + n.children;
  if (n.count == 0) return kNone;
  const void* found = std::memchr(children, byte, n.count);
  return found == nullptr ? kNone : n.children + uint32_t(static_cast<const char*>(found) - children);
}

}  // namespace gale
