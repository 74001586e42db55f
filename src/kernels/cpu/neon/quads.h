#pragma once
#include <cstdint>

// Dots of four bytes a lane as armv8-a has them: widening products, then two sums of pairs.
namespace gale::GALE_ISA {

constexpr bool kSigned8 = true;  // 8-bit codes enter dot4 less 128: there is only a signed x signed product
constexpr int32_t kKeyBias = 0;  // what a key's code counts too much in dot_keys

template <int Bits>
inline i32x16 dot4(i32x16 acc, u8x64 w, const int8_t* x) {
  const int8x16_t all = four_bytes(x);
  return each<i32x16>([&](int i) {
    uint8x16_t codes = w.v[i];
    if constexpr (Bits == 8) codes = veorq_u8(codes, vdupq_n_u8(0x80));
    const int8x16_t s = vreinterpretq_s8_u8(codes);
    const int16x8_t low = vmull_s8(vget_low_s8(s), vget_low_s8(all)), high = vmull_s8(vget_high_s8(s), vget_high_s8(all));
    // pairs of 16-bit products to 32 bits, then pairs of those: lane i gets its own four bytes
    return vaddq_s32(acc.v[i], vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
  });
}
// sum[n] += 16 columns x the 16 signed bytes at x[n] + column.
template <int Bits, int N>
inline void dot16(i32x16 (&sum)[N], const u8x64 (&w)[4], const int8_t* const (&x)[N], int64_t column) {
  for (int i = 0; i < 4; ++i)
    for (int n = 0; n < N; ++n) sum[n] = dot4<Bits>(sum[n], w[i], x[n] + column + 4 * i);
}
// acc + sum over the lane's 4 bytes, exact: key codes (128 more than they mean) x signed query bytes, each in -127..127
inline i32x16 dot_keys(i32x16 acc, u8x64 keys, i32x16 query) {
  return each<i32x16>([&](int i) {
    const int8x16_t k = vreinterpretq_s8_u8(veorq_u8(keys.v[i], vdupq_n_u8(0x80))), q = vreinterpretq_s8_s32(query.v[i]);
    const int16x8_t low = vmull_s8(vget_low_s8(k), vget_low_s8(q)), high = vmull_s8(vget_high_s8(k), vget_high_s8(q));
    return vaddq_s32(acc.v[i], vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
  });
}
// the same of unsigned weight bytes x signed values; a product is at most 255 x 127 and fits in 16 bits
inline i32x16 dot_values(i32x16 acc, u8x64 values, i32x16 weights) {
  return each<i32x16>([&](int i) {
    const int8x16_t v = vreinterpretq_s8_u8(values.v[i]);
    const uint8x16_t w = vreinterpretq_u8_s32(weights.v[i]);
    const auto wide = [](uint8x8_t h) { return vreinterpretq_s16_u16(vmovl_u8(h)); };
    const int16x8_t low = vmulq_s16(vmovl_s8(vget_low_s8(v)), wide(vget_low_u8(w)));
    const int16x8_t high = vmulq_s16(vmovl_s8(vget_high_s8(v)), wide(vget_high_u8(w)));
    return vaddq_s32(acc.v[i], vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
  });
}

}  // namespace gale::GALE_ISA
