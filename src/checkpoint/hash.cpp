#include "checkpoint/hash.h"

#include <xxhash.h>

#include <charconv>
#include <new>

#include "base/fail.h"

namespace gale {

uint64_t hash_bytes(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

RunningHash::RunningHash() : state_(XXH3_createState()) {
  if (state_ == nullptr) throw std::bad_alloc();
  XXH3_64bits_reset(static_cast<XXH3_state_t*>(state_));
}
RunningHash::~RunningHash() { XXH3_freeState(static_cast<XXH3_state_t*>(state_)); }
void RunningHash::add(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH3_64bits_update(static_cast<XXH3_state_t*>(state_), bytes.data(), bytes.size());
}
uint64_t RunningHash::value() const { return XXH3_64bits_digest(static_cast<const XXH3_state_t*>(state_)); }

std::string hash_text(uint64_t hash) { return fmt::format("{:016x}", hash); }

uint64_t parse_hash(std::string_view text, std::string_view what) {
  uint64_t out = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, out, 16);
  require(text.size() == 16 && error == std::errc() && at == end, ErrorCode::corrupt, "{}: a hash has 16 hexadecimal digits",
          what);
  return out;
}

}  // namespace gale
