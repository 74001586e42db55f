#include "kvcache/block_pool.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace gale {

BlockPool::BlockPool(int32_t blocks)
    : holders_(size_t(blocks)),
      names_(size_t(blocks)),
      named_(size_t(blocks)),
      links_(size_t(blocks) + 1),
      index_(std::bit_ceil(size_t(blocks) * 2 + 1), -1),
      free_(blocks) {
  for (int32_t i = 0; i <= blocks; ++i) links_[size_t(i)] = {i == 0 ? blocks : i - 1, i == blocks ? 0 : i + 1};
}

void BlockPool::unlink(int32_t block) {
  const Link here = links_[size_t(block)];
  links_[size_t(here.before)].after = here.after;
  links_[size_t(here.after)].before = here.before;
}

void BlockPool::link(int32_t block, int32_t before) {
  const int32_t after = links_[size_t(before)].after;
  links_[size_t(block)] = {before, after};
  links_[size_t(before)].after = block;
  links_[size_t(after)].before = block;
}

int32_t BlockPool::take() {
  assert(free_ > 0);
  const int32_t block = next();
  if (named_[size_t(block)]) --kept_, unname(block);
  unlink(block);
  --free_;
  holders_[size_t(block)] = 1;
  return block;
}

void BlockPool::hold(int32_t block) {
  if (holders_[size_t(block)]++ > 0) return;
  unlink(block);
  --free_;
  if (named_[size_t(block)]) --kept_;
}

void BlockPool::release(int32_t block) {
  assert(holders_[size_t(block)] > 0);
  if (--holders_[size_t(block)] > 0) return;
  ++free_;
  if (named_[size_t(block)]) ++kept_;
  const int32_t head = size();
  link(block, named_[size_t(block)] ? links_[size_t(head)].before : head);
}

// Where the name sits, or where it would.
size_t BlockPool::seat(const BlockName& name) const {
  size_t at = home(name);
  while (index_[at] >= 0 && names_[size_t(index_[at])] != name) at = (at + 1) & (index_.size() - 1);
  return at;
}

int32_t BlockPool::find(const BlockName& name) const { return index_[seat(name)]; }

int32_t BlockPool::name(int32_t block, const BlockName& name) {
  assert(holders(block) > 0 && !named_[size_t(block)]);
  int32_t& sitting = index_[seat(name)];
  if (sitting >= 0) return sitting;
  names_[size_t(block)] = name;
  named_[size_t(block)] = true;
  return sitting = block;
}

// Those behind it that could not sit at home move up, so that no search ends early.
void BlockPool::unname(int32_t block) {
  named_[size_t(block)] = false;
  const size_t mask = index_.size() - 1;
  size_t gap = seat(names_[size_t(block)]);
  for (size_t at = (gap + 1) & mask; index_[at] >= 0; at = (at + 1) & mask) {
    const size_t wanted = home(names_[size_t(index_[at])]);
    if (((at - wanted) & mask) < ((at - gap) & mask)) continue;
    index_[gap] = index_[at];
    gap = at;
  }
  index_[gap] = -1;
}

int32_t BlockPool::kept_after(int32_t block) const {
  do block = links_[size_t(block < 0 ? size() : block)].after;
  while (block != size() && !named_[size_t(block)]);
  return block == size() ? -1 : block;
}

void BlockPool::forget() {
  std::ranges::fill(index_, -1);
  named_.assign(named_.size(), false);
  kept_ = 0;
}

}  // namespace gale
