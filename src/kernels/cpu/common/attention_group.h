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
  int64_t page_of_slot(int64_t slot) const { return slot >> (4 + shift); }
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
// Shares a group out over `all` pieces of work that take so many steps. A share may run beyond a page's end: what is fetched
// there is wasted, nothing more. One division for all shares, because a call for one is short.
class Shares {
 public:
  Shares(const Group& group, int64_t all, int64_t steps)
      : group_(group), steps_(steps), bytes_(group.bytes * (kGroupTiles >> group.shift) * kOne / (all * steps)) {}
  // Of pieces [first, first + n).
  Ahead of(int64_t first, int64_t n) const {
    int64_t at = first * steps_ * bytes_ / kOne, page = 0;
    for (; at >= group_.bytes; at -= group_.bytes) ++page;
    return {group_.pages[page] + at, n * bytes_ / kOne};
  }

 private:
  static constexpr int64_t kOne = 1 << 16;
  const Group& group_;
  int64_t steps_, bytes_;  // of a piece and step, times kOne
};

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
