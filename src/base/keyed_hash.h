#pragma once
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace gale {

/// 256 bits that stand for a text. Whoever does not know the key can neither foretell them nor find two texts that share them.
struct Digest256 {
  std::array<uint64_t, 4> words{};
  auto operator<=>(const Digest256&) const = default;
};

/// Keyed BLAKE2b (RFC 7693) of 256 bits. May be used from any thread.
class KeyedHash {
 public:
  using Key = std::array<std::byte, 32>;
  /// From the system's generator. Throws Error{internal} where it has nothing to give.
  static Key random_key();

  explicit KeyedHash(const Key& key);
  ~KeyedHash();
  KeyedHash(KeyedHash&&) noexcept;
  KeyedHash& operator=(KeyedHash&&) noexcept;

  /// Of the parts one after another: where one ends is not part of the text.
  Digest256 operator()(std::span<const std::byte> first, std::span<const std::byte> second = {}) const;

 private:
  struct Start;
  std::unique_ptr<const Start> start_;
};

}  // namespace gale
