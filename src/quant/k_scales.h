#pragma once
#include <cstddef>
#include <cstdint>

namespace gale {

/// The 12 bytes in which q4_k and q5_k keep 8 scales and 8 minimums of 6 bits.
struct KScale {
  uint8_t scale, minimum;
};

/// Groups 0-3: the low 6 bits of bytes 0-3 (scale) and 4-7 (minimum). Groups 4-7: the halves of bytes 8-11 below the top 2 bits
/// of those bytes.
inline KScale get_k_scale(const std::byte* packed, int group) {
  const auto at = [=](int i) { return int(packed[i]); };
  if (group < 4) return {uint8_t(at(group) & 63), uint8_t(at(group + 4) & 63)};
  return {uint8_t((at(group + 4) & 15) | at(group - 4) >> 6 << 4), uint8_t(at(group + 4) >> 4 | at(group) >> 6 << 4)};
}

/// The inverse for all groups. REQUIRES: values below 64.
inline void put_k_scales(const uint8_t* scales, const uint8_t* minimums, std::byte* packed) {
  for (int group = 0; group < 4; ++group) {
    const int later_scale = scales[group + 4], later_minimum = minimums[group + 4];
    packed[group] = std::byte(scales[group] | later_scale >> 4 << 6);
    packed[group + 4] = std::byte(minimums[group] | later_minimum >> 4 << 6);
    packed[group + 8] = std::byte((later_scale & 15) | (later_minimum & 15) << 4);
  }
}

}  // namespace gale
