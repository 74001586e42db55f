#include "base/rng.h"

namespace gale {

std::array<uint32_t, 4> philox(std::array<uint32_t, 2> key, std::array<uint32_t, 4> c) noexcept {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(0xd2511f53u) * c[0];
    const uint64_t p1 = uint64_t(0xcd9e8d57u) * c[2];
    c = {uint32_t(p1 >> 32) ^ c[1] ^ key[0], uint32_t(p1), uint32_t(p0 >> 32) ^ c[3] ^ key[1], uint32_t(p0)};
    key[0] += 0x9e3779b9u;
    key[1] += 0xbb67ae85u;
  }
  return c;
}

double philox_uniform(uint64_t seed, uint32_t choice, uint64_t position, uint32_t stage) noexcept {
  const auto words =
      philox({uint32_t(seed), uint32_t(seed >> 32)}, {uint32_t(position), uint32_t(position >> 32), choice, stage});
  const uint64_t bits = (uint64_t(words[0]) << 32 | words[1]) >> 11;
  return double(bits) * 0x1p-53;
}

}  // namespace gale
