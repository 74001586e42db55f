#pragma once
#include <bit>
#include <cstdint>

namespace gale {

/// IEEE binary16 to f32, exact, subnormals and NaN included.
inline float f16_to_f32(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000u) << 16;
  const uint32_t exponent = (h >> 10) & 0x1f;
  const uint32_t fraction = h & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (fraction << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  const float magnitude = float(fraction) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

/// f32 to binary16, round to nearest even; overflow gives infinity, NaN stays NaN.
inline uint16_t f32_to_f16(float f) {
  const uint32_t x = std::bit_cast<uint32_t>(f);
  const uint16_t sign = uint16_t((x >> 16) & 0x8000u);
  const uint32_t magnitude = x & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return uint16_t(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return uint16_t(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {  // subnormal in f16: adding 0.5 lines the value's last kept bit up with f32's
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return uint16_t(sign | uint16_t(std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1);
  return uint16_t(sign | uint16_t((rounded - 0x38000000u) >> 13));
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
