#include "kvcache/block_file.h"

#include <cstring>

#include "base/fail.h"
#include "checkpoint/hash.h"

namespace gale {
namespace {

constexpr std::array<char, 8> kMagic = {'G', 'A', 'L', 'E', 'K', 'V', 'B', 'L'};
constexpr uint32_t kVersion = 1;

struct Header {
  std::array<char, 8> magic;
  uint32_t version;
  int32_t pool;
  uint64_t payload_bytes, payload_hash;
  std::array<uint64_t, 4> cache, name;
  std::array<uint64_t, 3> rest;  // zeros
  uint64_t hash;                 // of all before
};
static_assert(sizeof(Header) == kBlockHeader);

uint64_t hash_of(const Header& header) {
  return hash_bytes(std::as_bytes(std::span(&header, 1)).first(sizeof(Header) - sizeof header.hash));
}

}  // namespace

BlockHeader block_header(const BlockRecord& record) {
  Header header{.magic = kMagic,
                .version = kVersion,
                .pool = record.pool,
                .payload_bytes = record.payload.size(),
                .payload_hash = hash_bytes(record.payload),
                .cache = record.cache.words,
                .name = record.name.words,
                .rest = {},
                .hash = 0};
  header.hash = hash_of(header);
  BlockHeader out;
  std::memcpy(out.data(), &header, sizeof header);
  return out;
}

BlockRecord parse_block(std::span<const std::byte> bytes, std::string_view where) {
  require(bytes.size() >= kBlockHeader, ErrorCode::corrupt, "{}: {} bytes are left, and a block's header alone has {}", where,
          bytes.size(), kBlockHeader);
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  require(header.magic == kMagic, ErrorCode::corrupt, "{}: this is no block of keys and values", where);
  require(header.version == kVersion, ErrorCode::unsupported, "{}: blocks of version {}, and this program reads {}", where,
          header.version, kVersion);
  require(header.hash == hash_of(header), ErrorCode::corrupt, "{}: the header is damaged", where);
  require(header.pool >= 0 && header.rest == std::array<uint64_t, 3>{}, ErrorCode::corrupt, "{}: the header makes no sense",
          where);
  const auto left = bytes.subspan(kBlockHeader);
  require(header.payload_bytes <= left.size(), ErrorCode::corrupt, "{}: a block of {} bytes, but {} are left", where,
          header.payload_bytes, left.size());
  const BlockRecord out{
      .cache = {header.cache}, .name = {header.name}, .pool = header.pool, .payload = left.first(size_t(header.payload_bytes))};
  require(header.payload_hash == hash_bytes(out.payload), ErrorCode::corrupt, "{}: the keys and values are damaged", where);
  return out;
}

}  // namespace gale
