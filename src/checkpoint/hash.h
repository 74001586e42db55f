#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gale {

/// 64 bits of XXH3: the same on every machine. Tells versions of a file apart; it is no defence against somebody who tries.
uint64_t hash_bytes(std::span<const std::byte> bytes);

/// The same over bytes that come in pieces.
class RunningHash {
 public:
  RunningHash();
  ~RunningHash();
  RunningHash(const RunningHash&) = delete;
  RunningHash& operator=(const RunningHash&) = delete;
  void add(std::span<const std::byte> bytes);
  uint64_t value() const;

 private:
  void* state_;
};

/// 16 hexadecimal digits, and back. Throws Error{corrupt} naming `what` for anything else.
std::string hash_text(uint64_t hash);
uint64_t parse_hash(std::string_view text, std::string_view what);

}  // namespace gale
