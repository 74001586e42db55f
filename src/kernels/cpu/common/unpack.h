#pragma once
#include <cstdint>

#include "kernels/cpu/kernels.h"

// From the codes of a panel to vectors of bytes: 16 columns as four vectors of 4 columns each, biased as dot4<Bits> wants them.
namespace gale::GALE_ISA {

template <int Bits>
struct Unpack;

template <>
struct Unpack<8> {
  static constexpr int64_t kBytes = 256;  // of 16 columns
  static void columns16(const uint8_t* p, u8x64 (&w)[4]) {
    for (int i = 0; i < 4; ++i) w[i] = load_bytes(p + 64 * i);
  }
};

template <>
struct Unpack<4> {
  static constexpr int64_t kBytes = 128;
  static void columns16(const uint8_t* p, u8x64 (&w)[4]) {
    for (int i = 0; i < 2; ++i) {
      const u8x64 both = load_bytes(p + 64 * i);
      w[2 * i] = low_nibbles(both);
      w[2 * i + 1] = high_nibbles(both);
    }
  }
};

template <>
struct Unpack<6> {
  static constexpr int64_t kBytes = 192;
  static void columns16(const uint8_t* p, u8x64 (&w)[4]) {
    Unpack<4>::columns16(p, w);
    const u8x64 high = load_bytes(p + 128);
    w[0] = join_high2<0>(w[0], high);
    w[1] = join_high2<1>(w[1], high);
    w[2] = join_high2<2>(w[2], high);
    w[3] = join_high2<3>(w[3], high);
  }
};

}  // namespace gale::GALE_ISA
