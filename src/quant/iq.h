#pragma once
#include <iterator>
#include <vector>

#include "quant/blocks.h"
#include "quant/iq_grids.h"

/// What GGUF's iq1, iq2 and iq3 types share: 256 columns, value = d * (2 s + 1) * point, where s is a small number of each 16 or
/// 32 columns, and points of a codebook, whose magnitudes are few, get signs or are moved by an eighth. d has 11 bits, 2 s + 1
/// five and points six: every product is exact, and their order says nothing.
namespace gale::iq {

constexpr Layout layout(CodeTable table, uint8_t bits, int16_t group) {
  return {.kind = Layout::Kind::grouped,
          .bits = bits,
          .group = group,
          .block = 256,
          .top = ScaleType::f32,
          .sub = ScaleType::i8,
          .table = table};
}

/// F has what block_format() wants of it but values, split and valid; and unit, what 1 in its table stands for, d(block),
/// step(block, group), which is 2 s + 1, and codes(block, out).
template <class F>
struct Blocks {
  static bool valid(const std::byte* block) { return std::isfinite(F::d(block)); }

  static void values(const std::byte* block, float* out) {
    const float d = F::d(block);
    const int8_t* table = table_values(F::layout.table);
    uint8_t codes[256];
    F::codes(block, codes);
    for (int i = 0; i < 256; ++i) out[i] = d * float(F::step(block, i / F::layout.group)) * (F::unit * float(table[codes[i]]));
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = F::d(block) * F::unit;
    for (int group = 0; group < 256 / F::layout.group; ++group) out.sub[group] = int16_t(F::step(block, group));
    F::codes(block, out.codes);
  }
};

inline int half_of(const std::byte* bytes, int i) { return int(bytes[i / 2]) >> (i % 2 * 4) & 15; }

inline uint32_t load_u32(const std::byte* p) {
  uint32_t out;
  std::memcpy(&out, p, 4);
  return out;
}

/// Eight signs, 1 is minus, from seven: the last one makes their number even.
inline unsigned eight_signs(unsigned seven) { return seven | unsigned(std::popcount(seven) % 2) << 7; }

/// Codes for the tables of iq2: 8 of a point of 2 bits each, minus from 4 on.
inline void put_iq2(uint16_t point, unsigned signs, uint8_t* out) {
  for (int i = 0; i < 8; ++i) out[i] = uint8_t((point >> (2 * i) & 3) | (signs >> i & 1) << 2);
}
/// And of iq3: 4 of a point of 4 bits each, minus from 8 on.
inline void put_iq3(uint16_t point, unsigned signs, uint8_t* out) {
  for (int i = 0; i < 4; ++i) out[i] = uint8_t((point >> (4 * i) & 7) | (signs >> i & 1) << 3);
}
/// And of iq1: 8 of a point of 2 bits each, an eighth less or more.
inline void put_iq1(uint16_t point, bool less, uint8_t* out) {
  for (int i = 0; i < 8; ++i) out[i] = uint8_t((point >> (2 * i) & 3) * 2 + (less ? 0 : 1));
}

/// The inverse of these: the number of a point of a codebook.
template <const auto& Grid>
int number_of(uint16_t point) {
  static const auto numbers = [] {
    std::vector<uint16_t> out(size_t(1) << 16);
    for (size_t i = std::size(Grid); i-- > 0;) out[Grid[i]] = uint16_t(i);
    return out;
  }();
  return numbers[point];
}
/// Of codes of iq1, whose lowest bit says whether the point is moved up.
inline uint16_t iq1_point(const uint8_t* codes) {
  int out = 0;
  for (int i = 0; i < 8; ++i) out |= codes[i] / 2 << (2 * i);
  return uint16_t(out);
}

}  // namespace gale::iq
