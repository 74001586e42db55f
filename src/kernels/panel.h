#pragma once
#include <cstdint>

namespace gale {

/// Where the code of (column k, lane) lies among the codes of one unit of a panel. A vector of 16 lanes holds 4 consecutive
/// columns of each output as bytes, so that one int8 dot instruction takes 16 outputs x 4 columns:
///   8 bits  64 bytes for 4 columns
///   4 bits  64 bytes for 8: columns 0-3 in the low nibbles, 4-7 in the high ones
///   5 bits  320 bytes for 32: four vectors of nibbles as above, then one of high bits, that of columns 4i..4i+3 at bit i
///   6 bits  192 bytes for 16: two vectors of low nibbles as above, then one of the high two bits, columns 4i..4i+3 at bit 2i
inline uint8_t get_code(const uint8_t* codes, int bits, int64_t k, int64_t lane) {
  const int64_t byte = lane * 4 + k % 4;
  if (bits == 8) return codes[k / 4 * 64 + byte];
  const int nibble = int(k % 8 / 4) * 4;
  if (bits == 4) return (codes[k / 8 * 64 + byte] >> nibble) & 15;
  if (bits == 5) {
    const uint8_t* group = codes + k / 32 * 320;
    const int low = (group[k % 32 / 8 * 64 + byte] >> nibble) & 15, high = (group[256 + byte] >> (k % 32 / 4)) & 1;
    return uint8_t(low | high << 4);
  }
  const uint8_t* group = codes + k / 16 * 192;
  const int low = (group[k % 16 / 8 * 64 + byte] >> nibble) & 15;
  const int high = (group[128 + byte] >> (k % 16 / 4 * 2)) & 3;
  return uint8_t(low | high << 4);
}

/// Where the sub-minimum of (group, lane) lies among those of a unit: two groups side by side in each lane, so that one 16-bit
/// dot instruction takes 16 outputs x 2 groups. Sub-scales are [groups][16].
inline int64_t sub_min_at(int64_t group, int64_t lane) { return group / 2 * 32 + lane * 2 + group % 2; }

}  // namespace gale
