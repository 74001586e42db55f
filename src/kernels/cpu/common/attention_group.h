#pragma once
#include <cstdint>

#include "kernels/cpu/kernels.h"

// Attention walks the cache in groups of 64 slots at absolute positions, whatever the slots of a block: where blocks begin then
// touches no bit, and tiles of 16 slots are taken side by side from any pages.
namespace gale::GALE_ISA {

constexpr int64_t kSpan = kSpanSlots;  // slots reduced together; spans lie at absolute positions and are merged in order
constexpr int64_t kSpanGroups = kSpan / kGroupSlots, kGroupTiles = kGroupSlots / 16;

// One page of 64 slots, two of 32 or four of 16. Those that nobody sees are others' in their place: their weights are zeros.
struct Group {
  const std::byte* pages[kGroupTiles];
  int64_t bytes;  // of a page
  int shift;      // of a tile's number to its page's

  const std::byte* page_of_tile(int64_t t) const { return pages[t >> shift]; }
  int64_t tile_in_page(int64_t t) const { return t & ((int64_t(1) << shift) - 1); }
  int64_t page_slots() const { return int64_t(16) << shift; }
};
inline int group_shift(int64_t page_slots) { return page_slots == 64 ? 2 : page_slots == 32 ? 1 : 0; }

// What a kernel asks for while it works: the group that comes next, spread evenly over all that reads this one.
struct Ahead {
  const std::byte* from;
  int64_t pitch;  // bytes a step

  template <int N>
  void fetch(int64_t step) const {
    for (int i = 0; i < N; ++i) prefetch_far(from + step * pitch + 64 * i);
  }
};
// What does [first, first + n) of `all` in so many steps takes its share of the group. It may run beyond a page's end: what is
// fetched there is wasted, nothing more.
inline Ahead share_of(const Group& group, int64_t first, int64_t n, int64_t all, int64_t steps) {
  const int64_t total = group.bytes * (kGroupTiles >> group.shift), at = total * first / all, page = at / group.bytes;
  return {group.pages[page] + (at - page * group.bytes), total * n / (all * steps)};
}

// The queries of a tile and how they meet keys of one type. Called once for a group, so that a virtual call costs nothing and
// keys and values of every two types go together.
class Keys {
 public:
  // Query i of the tile.
  virtual void take_query(int64_t i, const float* q) = 0;
  // Raw scores of tiles [from, to) of the group go to scores [queries, kSpan].
  virtual void score(const Group& group, int64_t from, int64_t to, float* scores, const Group& ahead) const = 0;

 protected:
  ~Keys() = default;
};

}  // namespace gale::GALE_ISA
