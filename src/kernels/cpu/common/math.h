#pragma once
#include <cstdint>

namespace gale::GALE_ISA {

// e^x in f32 for all x: n = round(x / ln 2), the Taylor polynomial of degree 7 on the rest (error 5e-9 relative), and 2^n in two
// factors so that results reach down to subnormals and up to infinity. NaN gives infinity.
inline f32x16 exp(f32x16 x) {
  x = max(min(x, set1(89.0f)), set1(-104.0f));
  const i32x16 n = to_int(mul(x, set1(1.44269504f)));
  const f32x16 nf = to_float(n);
  f32x16 r = fma(nf, set1(-0.693145752f), x);  // ln 2 in two parts, the first exact in few bits
  r = fma(nf, set1(-1.42860677e-6f), r);
  f32x16 p = set1(1.98412698e-4f);
  p = fma(p, r, set1(1.38888889e-3f));
  p = fma(p, r, set1(8.33333333e-3f));
  p = fma(p, r, set1(4.16666667e-2f));
  p = fma(p, r, set1(1.66666667e-1f));
  p = fma(p, r, set1(0.5f));
  p = fma(p, r, set1(1.0f));
  p = fma(p, r, set1(1.0f));
  const i32x16 half = isra<1>(n), rest = isub(n, half);
  const auto power = [](i32x16 e) { return float_of(ishl<23>(iadd(e, iset1(127)))); };
  return mul(mul(p, power(half)), power(rest));
}

// x / (1 + e^-x)
inline f32x16 silu(f32x16 x) { return div(x, add(set1(1.0f), exp(sub(zero(), x)))); }

// (e^2x - 1) / (e^2x + 1), which saturates cleanly through e^2x in [0, inf).
inline f32x16 tanh(f32x16 x) {
  const f32x16 e = exp(add(x, x));
  return sub(set1(1.0f), div(set1(2.0f), add(e, set1(1.0f))));
}

// Saturates, so that no infinity or NaN is left (0 x NaN would spread from the cache to rows that do not see it).
inline f32x16 finite(f32x16 v, float limit) { return max(min(v, set1(limit)), set1(-limit)); }

// What may be rounded to bf16: beyond its largest value saturates, below 2^-55 counts as zero. No subnormal then arises from two
// such, nor from one and a weight of 2^-70 or more: sets with a bf16 dot flush them.
inline f32x16 in_bf16_range(f32x16 v) {
  v = finite(v, 3.3895314e38f);
  return select_less(abs(v), set1(0x1p-55f), zero(), v);
}

// Round to nearest even. REQUIRES: no NaN.
inline void store_bf16(uint16_t* p, f32x16 a) {
  const i32x16 bits = bits_of(a);
  const i32x16 odd = iand(ishr<16>(bits), 1);
  store_u16(p, ishr<16>(iadd(bits, iadd(iset1(0x7fff), odd))));
}

// n < 16 elements of 16 bits, the rest zero.
template <class Load>
inline f32x16 load_half_first(const uint16_t* p, int64_t n, Load load_half) {
  uint16_t copy[16] = {};
  __builtin_memcpy(copy, p, size_t(n) * 2);
  return load_half(copy);
}

}  // namespace gale::GALE_ISA
