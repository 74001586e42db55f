#pragma once
#include <cstddef>

// after simd.h: it names the vocabulary
namespace gale::avx2 {

// Eight words of eight rows.
inline void transpose_eight(const std::byte* const* rows, int64_t at, __m256i (&v)[8]) {
  __m256 r[8], t[8];
  // Rows i and i + 4 side by side in halves: the 128-bit steps are done by the loads.
  for (int i = 0; i < 4; ++i)
    for (int half = 0; half < 2; ++half) {
      const __m128 low = _mm_loadu_ps(reinterpret_cast<const float*>(rows[i] + at + half * 16));
      r[i + 4 * half] = _mm256_insertf128_ps(_mm256_castps128_ps256(low),
                                             _mm_loadu_ps(reinterpret_cast<const float*>(rows[i + 4] + at + half * 16)), 1);
    }
  for (int half = 0; half < 8; half += 4)
    for (int i = 0; i < 2; ++i) {
      t[half + 2 * i] = _mm256_unpacklo_ps(r[half + 2 * i], r[half + 2 * i + 1]);
      t[half + 2 * i + 1] = _mm256_unpackhi_ps(r[half + 2 * i], r[half + 2 * i + 1]);
    }
  for (int half = 0; half < 8; half += 4)
    for (int i = 0; i < 2; ++i) {
      v[half + 2 * i] = _mm256_castps_si256(_mm256_shuffle_ps(t[half + i], t[half + 2 + i], 0x44));
      v[half + 2 * i + 1] = _mm256_castps_si256(_mm256_shuffle_ps(t[half + i], t[half + 2 + i], 0xee));
    }
}

inline void transpose_words(const std::byte* const* rows, int64_t at, i32x16 (&v)[16]) {
  for (int half = 0; half < 2; ++half) {
    __m256i low[8], high[8];
    transpose_eight(rows, at + half * 32, low);
    transpose_eight(rows + 8, at + half * 32, high);
    for (int i = 0; i < 8; ++i) v[half * 8 + i] = {low[i], high[i]};
  }
}

inline i32x16 part_halves(i32x16 v) {
  const __m256i low = _mm256_set1_epi32(0xffff);
  const __m256i a = _mm256_packus_epi32(_mm256_and_si256(v.a, low), _mm256_and_si256(v.b, low));
  const __m256i b = _mm256_packus_epi32(_mm256_srli_epi32(v.a, 16), _mm256_srli_epi32(v.b, 16));
  return {_mm256_permute4x64_epi64(a, 0xd8), _mm256_permute4x64_epi64(b, 0xd8)};  // packing is by 128 bits
}
inline void stream(std::byte* to, i32x16 v) {
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to), v.a);
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to) + 1, v.b);
}
inline void end_stream() { _mm_sfence(); }

}  // namespace gale::avx2
