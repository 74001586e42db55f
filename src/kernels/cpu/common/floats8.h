#pragma once
#include <cstdint>

// Floats of 8 bits.
namespace gale::GALE_ISA {

// Those in byte I of each lane, with as many bits of exponent: moved to where an f32 has them, the sign first, they are a power
// of two too small, and so are their subnormals, which multiplying makes exact again.
template <int Exponent, int I>
inline f32x16 floats8(i32x16 codes) {
  const i32x16 moved = isra<8 - Exponent>(ishl<24 - 8 * I>(codes));
  return mul(float_of(iand(moved, INT32_MIN | 0x7f << (16 + Exponent))), set1(Exponent == 4 ? 0x1p120f : 0x1p112f));
}

constexpr float kLargestE4m3 = 448.0f;

// To e4m3, to nearest even, a code in the low byte of each lane. REQUIRES: magnitudes up to 448.
inline i32x16 to_e4m3(f32x16 x) {
  const f32x16 size = abs(x);
  const i32x16 bits = bits_of(size), odd = iand(ishr<20>(bits), 1);
  const i32x16 normal = isub(ishr<20>(iadd(bits, iadd(iset1(0x7ffff), odd))), iset1(120 << 3));
  // below the smallest normal: multiples of 2^-9, which are the last bit of 2^14
  const i32x16 subnormal = isub(bits_of(add(size, set1(0x1p14f))), bits_of(set1(0x1p14f)));
  const i32x16 code = bits_of(select_less(size, set1(0x1p-6f), float_of(subnormal), float_of(normal)));
  return iadd(code, iand(ishr<24>(bits_of(x)), 0x80));
}

}  // namespace gale::GALE_ISA
