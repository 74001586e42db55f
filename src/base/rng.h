#pragma once
#include <array>
#include <cstdint>

namespace gale {

/// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based generator. The same
/// (key, counter) gives the same four words on every machine and thread, so a draw is addressed, not sequenced.
std::array<uint32_t, 4> philox(std::array<uint32_t, 2> key, std::array<uint32_t, 4> counter) noexcept;

/// Uniform in [0, 1) with 53 bits, addressed by (seed; choice, position, stage).
double philox_uniform(uint64_t seed, uint32_t choice, uint64_t position, uint32_t stage) noexcept;

/// SplitMix64: a fast sequential generator for fillers and tests, one word a call.
struct SplitMix64 {
  uint64_t state;
  uint64_t operator()() noexcept {
    uint64_t z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, 1).
  float uniform() noexcept { return float((*this)() >> 40) * 0x1p-24f; }
};

}  // namespace gale
