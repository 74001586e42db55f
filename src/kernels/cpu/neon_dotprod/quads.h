#pragma once
#include <cstdint>

// Dots of four bytes a lane by sdot, which takes signed bytes only.
namespace gale::GALE_ISA {

constexpr bool kSigned8 = true;  // 8-bit codes enter dot4 less 128
constexpr int32_t kKeyBias = 0;  // what a key's code counts too much in dot_keys

inline int8x16_t less_128(uint8x16_t codes) { return vreinterpretq_s8_u8(veorq_u8(codes, vdupq_n_u8(0x80))); }

template <int Bits>
inline i32x16 dot4(i32x16 acc, u8x64 w, const int8_t* x) {
  const int8x16_t all = four_bytes(x);
  return each<i32x16>(
      [&](int i) { return vdotq_s32(acc.v[i], Bits == 8 ? less_128(w.v[i]) : vreinterpretq_s8_u8(w.v[i]), all); });
}
// sum[n] += 16 columns x the 16 signed bytes at x[n] + column.
template <int Bits, int N>
inline void dot16(i32x16 (&sum)[N], const u8x64 (&w)[4], const int8_t* const (&x)[N], int64_t column) {
  for (int i = 0; i < 4; ++i)
    for (int n = 0; n < N; ++n) sum[n] = dot4<Bits>(sum[n], w[i], x[n] + column + 4 * i);
}
// acc + sum over the lane's 4 bytes, exact: key codes (128 more than they mean) x signed query bytes, each in -127..127
inline i32x16 dot_keys(i32x16 acc, u8x64 keys, i32x16 query) {
  return each<i32x16>([&](int i) { return vdotq_s32(acc.v[i], less_128(keys.v[i]), vreinterpretq_s8_s32(query.v[i])); });
}
// the same of unsigned weight bytes x signed values: (weight - 128) x value - (-128) x value
inline i32x16 dot_values(i32x16 acc, u8x64 values, i32x16 weights) {
  return each<i32x16>([&](int i) {
    const int8x16_t v = vreinterpretq_s8_u8(values.v[i]);
    const int32x4_t owed = vdotq_s32(vdupq_n_s32(0), v, vdupq_n_s8(-128));
    return vsubq_s32(vdotq_s32(acc.v[i], v, less_128(vreinterpretq_u8_s32(weights.v[i]))), owed);
  });
}

}  // namespace gale::GALE_ISA
