#pragma once
#include <cstdint>
#include <cstring>

namespace gale {

// Four codes.
inline uint32_t load_word(const uint8_t* p) {
  uint32_t word;
  std::memcpy(&word, p, 4);
  return word;
}

// The low two bits of 16 codes.
inline uint32_t join_pairs(const uint8_t* from) {
  uint32_t out = 0;
  for (int i = 0; i < 4; ++i) out |= (load_word(from + 4 * i) & 0x03030303) << (2 * i);
  return out;
}

/// Where the code of (column k, lane) lies among the codes of one unit of a panel. A vector of 16 lanes holds 4 consecutive
/// columns of each output as bytes, so that one int8 dot instruction takes 16 outputs x 4 columns:
///   2 bits  64 bytes for 16: columns 4i..4i+3 at bit 2i
///   3 bits  192 bytes for 32: two vectors of low bits as above, then one of high bits, that of columns 4i..4i+3 at bit i
///   8 bits  64 bytes for 4 columns
///   4 bits  64 bytes for 8: columns 0-3 in the low nibbles, 4-7 in the high ones
///   5 bits  320 bytes for 32: four vectors of nibbles as above, then one of high bits, that of columns 4i..4i+3 at bit i
///   6 bits  192 bytes for 16: two vectors of low nibbles as above, then one of the high two bits, columns 4i..4i+3 at bit 2i
/// Four codes to a word, a word to a lane: `from` is one row's codes of a unit, `to` the lane's words among the unit's codes.
inline void put_codes(const uint8_t* from, int bits, int64_t columns, uint8_t* to) {
  const auto put = [&](int64_t vector, uint32_t word) { std::memcpy(to + vector * 64, &word, 4); };
  if (bits == 8) {
    for (int64_t k = 0; k < columns; k += 4) put(k / 4, load_word(from + k));
  } else if (bits == 4) {
    for (int64_t k = 0; k < columns; k += 8) put(k / 8, load_word(from + k) | load_word(from + k + 4) << 4);
  } else if (bits == 2) {
    for (int64_t k = 0; k < columns; k += 16) put(k / 16, join_pairs(from + k));
  } else if (bits == 3) {
    constexpr uint32_t kHigh = 0x01010101;
    for (int64_t k = 0; k < columns; k += 32) {
      uint32_t high = 0;
      for (int i = 0; i < 8; ++i) high |= (load_word(from + k + 4 * i) >> 2 & kHigh) << i;
      put(k / 32 * 3, join_pairs(from + k));
      put(k / 32 * 3 + 1, join_pairs(from + k + 16));
      put(k / 32 * 3 + 2, high);
    }
  } else if (bits == 5) {
    constexpr uint32_t kLow = 0x0f0f0f0f, kHigh = 0x01010101;
    for (int64_t k = 0; k < columns; k += 32) {
      const int64_t vector = k / 32 * 5;
      uint32_t high = 0;
      for (int64_t i = 0; i < 8; i += 2) {
        const uint32_t even = load_word(from + k + 4 * i), odd = load_word(from + k + 4 * i + 4);
        put(vector + i / 2, (even & kLow) | (odd & kLow) << 4);
        high |= (even >> 4 & kHigh) << i | (odd >> 4 & kHigh) << (i + 1);
      }
      put(vector + 4, high);
    }
  } else {
    constexpr uint32_t kLow = 0x0f0f0f0f, kHigh = 0x30303030;
    for (int64_t k = 0; k < columns; k += 16) {
      const uint32_t w[4] = {load_word(from + k), load_word(from + k + 4), load_word(from + k + 8), load_word(from + k + 12)};
      const int64_t vector = k / 16 * 3;
      put(vector, (w[0] & kLow) | (w[1] & kLow) << 4);
      put(vector + 1, (w[2] & kLow) | (w[3] & kLow) << 4);
      put(vector + 2, (w[0] & kHigh) >> 4 | (w[1] & kHigh) >> 2 | (w[2] & kHigh) | (w[3] & kHigh) << 2);
    }
  }
}

/// The other way: codes of columns [first, first + n), 16 at a time, or 32 where they have 5 bits. REQUIRES: n a multiple of
/// that.
inline void get_codes(const uint8_t* codes, int bits, int64_t first, int64_t n, int64_t lane, uint8_t* out) {
  const auto word = [&](int64_t vector) { return load_word(codes + vector * 64 + lane * 4); };
  const auto put = [&](int64_t k, uint32_t four) { std::memcpy(out + k, &four, 4); };
  constexpr uint32_t kLow = 0x0f0f0f0f, kHigh = 0x30303030, kFifth = 0x10101010;
  for (int64_t k = 0; bits == 5 && k < n; k += 32) {
    const int64_t vector = (first + k) / 32 * 5;
    const uint32_t high = word(vector + 4);
    for (int64_t i = 0; i < 8; ++i) {
      const uint32_t low = word(vector + i / 2) >> (i % 2 * 4) & kLow;
      put(k + 4 * i, low | ((i < 4 ? high << (4 - i) : high >> (i - 4)) & kFifth));
    }
  }
  for (int64_t k = 0; bits != 5 && k < n; k += 16) {
    if (bits == 8) {
      for (int64_t i = 0; i < 4; ++i) put(k + 4 * i, word((first + k) / 4 + i));
      continue;
    }
    if (bits <= 3) {
      const int64_t sixteen = (first + k) / 16, vector = bits == 2 ? sixteen : sixteen / 2 * 3 + sixteen % 2;
      const uint32_t low = word(vector), high = bits == 2 ? 0 : word(sixteen / 2 * 3 + 2) >> (sixteen % 2 * 4);
      for (int64_t i = 0; i < 4; ++i) put(k + 4 * i, (low >> (2 * i) & 0x03030303) | (high >> i & 0x01010101) << 2);
      continue;
    }
    const int64_t vector = (first + k) / 16 * (bits == 4 ? 2 : 3);
    const uint32_t a = word(vector), b = word(vector + 1), high = bits == 4 ? 0 : word(vector + 2);
    put(k, (a & kLow) | (high << 4 & kHigh));
    put(k + 4, (a >> 4 & kLow) | (high << 2 & kHigh));
    put(k + 8, (b & kLow) | (high & kHigh));
    put(k + 12, (b >> 4 & kLow) | (high >> 2 & kHigh));
  }
}

/// Where the sub-minimum of (group, lane) lies among those of a unit: two groups side by side in each lane, so that one 16-bit
/// dot instruction takes 16 outputs x 2 groups. Sub-scales are [groups][16].
inline int64_t sub_min_at(int64_t group, int64_t lane) { return group / 2 * 32 + lane * 2 + group % 2; }

}  // namespace gale
