#pragma once
#include <cstdint>
#include <vector>

#include "kvcache/block_names.h"

namespace gale {

/// Who holds each of a fixed number of blocks, and which of those that nobody holds are worth keeping: a block with a name stays
/// findable until its memory is wanted, the longest unheld first. Numbers only; no call allocates.
class BlockPool {
 public:
  explicit BlockPool(int32_t blocks);

  int32_t size() const { return int32_t(holders_.size()); }
  /// Blocks that nobody holds, the kept ones among them.
  int32_t free() const { return free_; }
  /// Blocks that nobody holds and that have a name.
  int32_t kept() const { return kept_; }
  int32_t holders(int32_t block) const { return holders_[size_t(block)]; }
  bool is_named(int32_t block) const { return named_[size_t(block)]; }

  /// What take() would give.
  int32_t next() const { return links_[size_t(size())].after; }
  /// Of a block that has one.
  const BlockName& name_of(int32_t block) const { return names_[size_t(block)]; }

  /// A block for one holder, without a name: an empty one, else the one kept for longest. REQUIRES: free() > 0.
  int32_t take();
  void hold(int32_t block);
  /// Release a text's last block first: then its end is given up before its beginning.
  void release(int32_t block);
  /// The block of that name, held or kept; -1 for none.
  int32_t find(const BlockName& name) const;
  /// Makes a held block findable. Returns the block that has the name: another one where the name was taken.
  int32_t name(int32_t block, const BlockName& name);
  /// A held block that has a name loses it: what is in it is going to change.
  void unname(int32_t block);
  /// Of the kept blocks the one that has been kept for longest after `block`, for -1 for longest of all; -1: no other.
  int32_t kept_after(int32_t block) const;
  /// No block has a name any more.
  void forget();

 private:
  struct Link {
    int32_t before, after;
  };
  void unlink(int32_t block);
  void link(int32_t block, int32_t before);
  size_t home(const BlockName& name) const { return size_t(name.words[0]) & (index_.size() - 1); }
  size_t seat(const BlockName& name) const;

  std::vector<int32_t> holders_;
  std::vector<BlockName> names_;
  std::vector<bool> named_;
  std::vector<Link> links_;     // a ring of the unheld, with a last entry that is its head: empty ones first, then by time
  std::vector<int32_t> index_;  // open addressing by name, -1 where nobody sits; never more than half full
  int32_t free_, kept_ = 0;
};

}  // namespace gale
