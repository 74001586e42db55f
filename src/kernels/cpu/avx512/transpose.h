#pragma once
#include <cstddef>

// after simd.h: it names the vocabulary
namespace gale::avx512 {

inline void transpose_words(const std::byte* const* rows, int64_t at, i32x16 (&v)[16]) {
  __m512i r[16], t[16];
  for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(rows[i] + at);
  // Words within a quarter: t[4 j + k] has word k (and k + 4, + 8, + 12) of rows 4 j to 4 j + 3.
  for (int j = 0; j < 16; j += 4) {
    const __m512i a = _mm512_unpacklo_epi32(r[j], r[j + 1]), b = _mm512_unpackhi_epi32(r[j], r[j + 1]);
    const __m512i c = _mm512_unpacklo_epi32(r[j + 2], r[j + 3]), d = _mm512_unpackhi_epi32(r[j + 2], r[j + 3]);
    t[j] = _mm512_unpacklo_epi64(a, c);
    t[j + 1] = _mm512_unpackhi_epi64(a, c);
    t[j + 2] = _mm512_unpacklo_epi64(b, d);
    t[j + 3] = _mm512_unpackhi_epi64(b, d);
  }
  // Quarters: word 4 q + k of all rows is quarter q of t[k], t[4 + k], t[8 + k], t[12 + k].
  for (int k = 0; k < 4; ++k) {
    const __m512i a = _mm512_shuffle_i32x4(t[k], t[4 + k], 0x44), b = _mm512_shuffle_i32x4(t[k], t[4 + k], 0xee);
    const __m512i c = _mm512_shuffle_i32x4(t[8 + k], t[12 + k], 0x44), d = _mm512_shuffle_i32x4(t[8 + k], t[12 + k], 0xee);
    v[k] = {_mm512_shuffle_i32x4(a, c, 0x88)};
    v[4 + k] = {_mm512_shuffle_i32x4(a, c, 0xdd)};
    v[8 + k] = {_mm512_shuffle_i32x4(b, d, 0x88)};
    v[12 + k] = {_mm512_shuffle_i32x4(b, d, 0xdd)};
  }
}

inline i32x16 part_halves(i32x16 v) {
  const __m256i low = _mm512_cvtepi32_epi16(v.v), high = _mm512_cvtepi32_epi16(_mm512_srli_epi32(v.v, 16));
  return {_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1)};
}
inline void stream(std::byte* to, i32x16 v) { _mm512_stream_si512(reinterpret_cast<__m512i*>(to), v.v); }
inline void end_stream() { _mm_sfence(); }

}  // namespace gale::avx512
