#pragma once
#include <bit>
#include <cstdint>

namespace gale {

// Without branches, so that loops over them vectorise on any instruction set.

/// IEEE binary16 to f32, exact, subnormals and NaN included.
inline float f16_to_f32(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000u) << 16, magnitude = h & 0x7fffu;
  const uint32_t subnormal = std::bit_cast<uint32_t>(float(int32_t(magnitude)) * 0x1p-24f);
  const uint32_t normal = (magnitude << 13) + (112u << 23), special = (magnitude << 13) | 0x7f800000u;
  return std::bit_cast<float>(sign | (magnitude < 0x400u ? subnormal : magnitude < 0x7c00u ? normal : special));
}

/// f32 to binary16, round to nearest even; overflow gives infinity, NaN stays NaN.
inline uint16_t f32_to_f16(float f) {
  const uint32_t x = std::bit_cast<uint32_t>(f), sign = (x >> 16) & 0x8000u, magnitude = x & 0x7fffffffu;
  // Subnormal in f16: adding 0.5 lines the value's last kept bit up with f32's.
  const uint32_t subnormal = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  const uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1) - 0x38000000u) >> 13;
  const uint32_t special = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
  return uint16_t(sign | (magnitude < 0x38800000u ? subnormal : magnitude < 0x477ff000u ? normal : special));
}

/// bfloat16 to f32, exact.
inline float bf16_to_f32(uint16_t h) { return std::bit_cast<float>(uint32_t(h) << 16); }

/// f32 to bfloat16, round to nearest even; NaN stays NaN.
inline uint16_t f32_to_bf16(float f) {
  const uint32_t x = std::bit_cast<uint32_t>(f);
  if ((x & 0x7fffffffu) > 0x7f800000u) return uint16_t((x >> 16) | 0x40u);
  return uint16_t((x + 0x7fffu + ((x >> 16) & 1)) >> 16);
}

/// 2^(e - 128): half of what OCP's e8m0 stands for, as tables of doubled 4-bit floats want it. The smallest two are subnormal.
inline float half_e8m0_to_f32(uint8_t e) { return std::bit_cast<float>(e < 2 ? 0x200000u << e : uint32_t(e - 1) << 23); }

/// The inverse, for values it gave.
inline uint8_t f32_to_half_e8m0(float f) {
  const uint32_t x = std::bit_cast<uint32_t>(f), exponent = x >> 23;
  return uint8_t(exponent > 0 ? exponent + 1 : x >> 22);
}

}  // namespace gale
