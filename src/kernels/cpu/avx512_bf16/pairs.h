#pragma once
#include <cstdint>

// vdpbf16ps adds the odd products, then the even ones, each fused, to nearest even, with subnormals flushed: the bits of
// cpu/common/pairs.h wherever no subnormal occurs, which the cache's type sees to (kernels/kv_pages.h).
namespace gale::GALE_ISA {

constexpr int kPairRows = kLaneRows, kPairVectors = kLaneVectors;

struct bf16x32 {
  __m512i v;
};
using PairWord = uint32_t;  // the even element in the low half

inline bf16x32 load_pairs(const uint16_t* p) { return {_mm512_loadu_si512(p)}; }
// Of numbers that bf16 holds exactly: their low halves are zeros.
inline bf16x32 join_pairs(f32x16 even, f32x16 odd) { return {iadd(ishr<16>(bits_of(even)), bits_of(odd)).v}; }
inline bf16x32 spread(const PairWord* p) { return {_mm512_set1_epi32(int32_t(*p))}; }
inline f32x16 dot_pairs(f32x16 acc, bf16x32 a, bf16x32 b) {
  return {_mm512_dpbf16_ps(acc.v, reinterpret_cast<__m512bh>(a.v), reinterpret_cast<__m512bh>(b.v))};
}
inline void store_words(PairWord* to, f32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(a.v)));
}

}  // namespace gale::GALE_ISA
