#pragma once
#include <cstdint>

// Dots of four bytes a lane by usdot: unsigned x signed, as codes and inputs are.
namespace gale::GALE_ISA {

constexpr bool kSigned8 = false;   // 8-bit codes enter dot4 as they are: unsigned
constexpr int32_t kKeyBias = 128;  // what a key's code counts too much in dot_keys

template <int Bits>
inline i32x16 dot4(i32x16 acc, u8x64 w, const int8_t* x) {
  const int8x16_t all = four_bytes(x);
  return each<i32x16>([&](int i) { return vusdotq_s32(acc.v[i], w.v[i], all); });
}
// sum[n] += 16 columns x the 16 signed bytes at x[n] + column.
template <int Bits, int N>
inline void dot16(i32x16 (&sum)[N], const u8x64 (&w)[4], const int8_t* const (&x)[N], int64_t column) {
  for (int i = 0; i < 4; ++i)
    for (int n = 0; n < N; ++n) sum[n] = dot4<Bits>(sum[n], w[i], x[n] + column + 4 * i);
}
// acc + sum over the lane's 4 bytes, exact: key codes (128 more than they mean) x signed query bytes, each in -127..127
inline i32x16 dot_keys(i32x16 acc, u8x64 keys, i32x16 query) {
  return each<i32x16>([&](int i) { return vusdotq_s32(acc.v[i], keys.v[i], vreinterpretq_s8_s32(query.v[i])); });
}
// the same of unsigned weight bytes x signed values
inline i32x16 dot_values(i32x16 acc, u8x64 values, i32x16 weights) {
  return each<i32x16>(
      [&](int i) { return vusdotq_s32(acc.v[i], vreinterpretq_u8_s32(weights.v[i]), vreinterpretq_s8_u8(values.v[i])); });
}

}  // namespace gale::GALE_ISA
