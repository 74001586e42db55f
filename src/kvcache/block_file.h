#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "kvcache/block_names.h"

namespace gale {

/// One block of keys and values outside of memory, in a file of its own or among the others of a session:
///
///   header    128 bytes: magic, version, pool, bytes of what follows and their hash, cache, name, hash of the header itself
///   payload   of each layer of the pool the pages of its keys, then those of its values
///
/// Numbers are little-endian. The payload is what kernels read (kernels/kv_pages.h): it means something to the same cache only,
/// the same weights in the same types computed by the same code, and `cache` is the hash of all that.
struct BlockRecord {
  Digest256 cache;
  BlockName name;
  int32_t pool = 0;
  std::span<const std::byte> payload;

  size_t bytes() const;
};

constexpr size_t kBlockHeader = 128;
using BlockHeader = std::array<std::byte, kBlockHeader>;

/// What stands before the payload.
BlockHeader block_header(const BlockRecord& record);
/// The record that `bytes` begin with; more may follow. `where` is for messages. Throws Error{corrupt} for what is cut short or
/// damaged, Error{unsupported} for another version. Whether it is the block that was wanted is the caller's to see.
BlockRecord parse_block(std::span<const std::byte> bytes, std::string_view where);

inline size_t BlockRecord::bytes() const { return kBlockHeader + payload.size(); }

}  // namespace gale
