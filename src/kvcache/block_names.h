#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/keyed_hash.h"
#include "kernels/kv_pages.h"

namespace gale {

/// Stands for all of a text up to the end of a block, and for whatever else its keys and values depend on.
using BlockName = Digest256;

/// Names the blocks of texts: a chain of keyed hashes, each of the one before and of the block's own tokens. Texts share a name
/// where they share everything up to there, and nobody without the key can make another text that has it.
class BlockNames {
 public:
  explicit BlockNames(const KeyedHash::Key& key, int64_t block_slots = kGroupSlots) : hash_(key), block_slots_(block_slots) {}
  int64_t block_slots() const { return block_slots_; }
  /// What the first block's name is made from: texts of another `salt` (a tenant, an adapter) never share a block.
  BlockName root(std::string_view salt) const;
  /// Adds the names of the whole blocks of `tokens` that `names` does not have yet.
  void extend(std::vector<BlockName>& names, const BlockName& root, std::span<const int32_t> tokens) const;

 private:
  KeyedHash hash_;
  int64_t block_slots_;
};

}  // namespace gale
