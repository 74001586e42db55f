#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

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

/// The same of all eight groups, four bytes at a time.
inline void get_k_scales(const std::byte* packed, int16_t* scales, int16_t* minimums) {
  uint32_t words[3];
  std::memcpy(words, packed, sizeof words);
  constexpr uint32_t kSix = 0x3f3f3f3f, kFour = 0x0f0f0f0f, kTop = 0x30303030;
  const uint32_t s[2] = {words[0] & kSix, (words[2] & kFour) | (words[0] >> 2 & kTop)};
  const uint32_t m[2] = {words[1] & kSix, (words[2] >> 4 & kFour) | (words[1] >> 2 & kTop)};
  uint8_t bytes[2][8];
  std::memcpy(bytes[0], s, 8);
  std::memcpy(bytes[1], m, 8);
  for (int i = 0; i < 8; ++i) scales[i] = bytes[0][i];
  for (int i = 0; i < 8; ++i) minimums[i] = bytes[1][i];
}

/// The inverse. REQUIRES: whole numbers below 64.
template <class Number>
void put_k_scales(const Number* scales, const Number* minimums, std::byte* packed) {
  for (int group = 0; group < 4; ++group) {
    const int scale = int(scales[group]), later_scale = int(scales[group + 4]);
    const int minimum = int(minimums[group]), later_minimum = int(minimums[group + 4]);
    packed[group] = std::byte(scale | later_scale >> 4 << 6);
    packed[group + 4] = std::byte(minimum | later_minimum >> 4 << 6);
    packed[group + 8] = std::byte((later_scale & 15) | (later_minimum & 15) << 4);
  }
}

}  // namespace gale
