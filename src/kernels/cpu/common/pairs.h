#pragma once
#include <cstdint>

// Dots of bf16 pairs where no instruction has them: two fused multiply-adds a lane, the odd element first. That is what vdpbf16ps
// does as well (cpu/avx512_bf16/pairs.h), so the bits are the same.
namespace gale::GALE_ISA {

constexpr int kPairRows = kLaneRows, kPairVectors = kLaneVectors > 1 ? 2 : 1;

struct bf16x32 {
  f32x16 even, odd;
};
// What every lane of a dot takes, as it lies in memory. Rounded to bf16, kept as f32 to spare the unpacking.
struct PairWord {
  float even, odd;
};

inline bf16x32 load_pairs(const uint16_t* p) {
  const i32x16 words = as_lanes(load_bytes(reinterpret_cast<const uint8_t*>(p)));
  return {float_of(ishl<16>(words)), float_of(iand(words, int32_t(0xffff0000u)))};
}
// Of numbers that bf16 holds exactly.
inline bf16x32 join_pairs(f32x16 even, f32x16 odd) { return {even, odd}; }
inline bf16x32 spread(const PairWord* p) { return {set1(p->even), set1(p->odd)}; }
inline f32x16 dot_pairs(f32x16 acc, bf16x32 a, bf16x32 b) { return fma(a.even, b.even, fma(a.odd, b.odd, acc)); }
// Rounds 16 values to nearest even and writes them as 8 words. REQUIRES: no NaN, no subnormal.
inline void store_words(PairWord* to, f32x16 a) {
  const i32x16 bits = bits_of(a);
  const i32x16 odd = iand(ishr<16>(bits), 1);
  store(&to->even, float_of(iand(iadd(bits, iadd(iset1(0x7fff), odd)), int32_t(0xffff0000u))));
}

}  // namespace gale::GALE_ISA
