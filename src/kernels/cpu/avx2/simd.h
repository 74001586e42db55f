#pragma once
// Sixteen lanes as two registers. See kernels/cpu/common/README.md for the vocabulary that every simd.h offers.
#include <immintrin.h>

#include <cstdint>

namespace gale::avx2 {

struct f32x16 {
  __m256 a, b;
};
struct i32x16 {
  __m256i a, b;
};
struct u8x64 {
  __m256i a, b;
};
struct i16x32 {
  __m256i a, b;
};

constexpr int kRowTile = 4;           // rows of x that a matmul tile holds in registers
constexpr int kOneLevelRows = 4;      // where sums are integers and a tile needs a sum and an output a row
constexpr int kTwoLevelRows = 4;      // where it needs a block's total as well
constexpr bool kSigned8 = true;       // 8-bit codes enter dot4 less 128: vpmaddubsw would saturate on 255 x 127 twice
constexpr int kSearchCandidates = 1;  // of a search for scales whose sums are in registers together

inline __m256i lane_mask(int64_t n) {  // n may be <= 0 or >= 8
  const int count = n < 0 ? 0 : n > 8 ? 8 : int(n);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline f32x16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline f32x16 set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline f32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline f32x16 load_first(const float* p, int64_t n) {
  return {_mm256_maskload_ps(p, lane_mask(n)), _mm256_maskload_ps(p + 8, lane_mask(n - 8))};
}
inline void store(float* p, f32x16 x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
inline void store_first(float* p, f32x16 x, int64_t n) {
  _mm256_maskstore_ps(p, lane_mask(n), x.a);
  _mm256_maskstore_ps(p + 8, lane_mask(n - 8), x.b);
}
inline __m128i half_load(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline f32x16 load_f16(const uint16_t* p) { return {_mm256_cvtph_ps(half_load(p)), _mm256_cvtph_ps(half_load(p + 8))}; }
inline __m256 widen_bf16(__m128i h) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16)); }
inline f32x16 load_bf16(const uint16_t* p) { return {widen_bf16(half_load(p)), widen_bf16(half_load(p + 8))}; }
inline void store_f16(uint16_t* p, f32x16 x) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x.a, kMode));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(x.b, kMode));
}
inline f32x16 add(f32x16 x, f32x16 y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline f32x16 sub(f32x16 x, f32x16 y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline f32x16 mul(f32x16 x, f32x16 y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline f32x16 div(f32x16 x, f32x16 y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline f32x16 fma(f32x16 x, f32x16 y, f32x16 z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
inline f32x16 sqrt(f32x16 x) { return {_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)}; }
inline f32x16 nearest(f32x16 x) {
  constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(x.a, kMode), _mm256_round_ps(x.b, kMode)};
}
inline f32x16 min(f32x16 x, f32x16 y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
inline f32x16 max(f32x16 x, f32x16 y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
inline f32x16 abs(f32x16 x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
inline f32x16 select_less(f32x16 p, f32x16 q, f32x16 x, f32x16 y) {
  return {_mm256_blendv_ps(y.a, x.a, _mm256_cmp_ps(p.a, q.a, _CMP_LT_OQ)),
          _mm256_blendv_ps(y.b, x.b, _mm256_cmp_ps(p.b, q.b, _CMP_LT_OQ))};
}

inline i32x16 izero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
inline i32x16 iset1(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline i32x16 iadd(i32x16 x, i32x16 y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
inline i32x16 isub(i32x16 x, i32x16 y) { return {_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)}; }
inline i32x16 imul(i32x16 x, i32x16 y) { return {_mm256_mullo_epi32(x.a, y.a), _mm256_mullo_epi32(x.b, y.b)}; }
template <int N>
inline i32x16 ishl(i32x16 x) {
  return {_mm256_slli_epi32(x.a, N), _mm256_slli_epi32(x.b, N)};
}
template <int N>
inline i32x16 isra(i32x16 x) {
  return {_mm256_srai_epi32(x.a, N), _mm256_srai_epi32(x.b, N)};
}
template <int N>
inline i32x16 ishr(i32x16 x) {
  return {_mm256_srli_epi32(x.a, N), _mm256_srli_epi32(x.b, N)};
}
inline i32x16 iand(i32x16 x, int32_t mask) {
  const __m256i m = _mm256_set1_epi32(mask);
  return {_mm256_and_si256(x.a, m), _mm256_and_si256(x.b, m)};
}
inline f32x16 to_float(i32x16 x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
inline i32x16 to_int(f32x16 x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
inline i32x16 bits_of(f32x16 x) { return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }
inline f32x16 float_of(i32x16 x) { return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }
inline i32x16 load_u8(const uint8_t* p) {
  const __m128i all = half_load(p);
  return {_mm256_cvtepu8_epi32(all), _mm256_cvtepu8_epi32(_mm_srli_si128(all, 8))};
}
inline i32x16 load_i8(const uint8_t* p) {
  const __m128i all = half_load(p);
  return {_mm256_cvtepi8_epi32(all), _mm256_cvtepi8_epi32(_mm_srli_si128(all, 8))};
}
// 16 lanes of 16 bits, in order: packs interleave the halves of their inputs.
inline __m256i narrow16(__m256i packed) { return _mm256_permute4x64_epi64(packed, 0xd8); }
inline void store_i8(int8_t* p, i32x16 x) {
  const __m256i words = narrow16(_mm256_packs_epi32(x.a, x.b));
  const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
}
inline void store_u16(uint16_t* p, i32x16 x) {
  const i32x16 low = iand(x, 0xffff);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow16(_mm256_packus_epi32(low.a, low.b)));
}

inline __m256i byte_load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline u8x64 load_bytes(const uint8_t* p) { return {byte_load(p), byte_load(p + 32)}; }
inline __m256i and8(__m256i x, int mask) { return _mm256_and_si256(x, _mm256_set1_epi8(char(mask))); }
inline u8x64 low_nibbles(u8x64 x) { return {and8(x.a, 15), and8(x.b, 15)}; }
inline u8x64 high_nibbles(u8x64 x) { return {and8(_mm256_srli_epi16(x.a, 4), 15), and8(_mm256_srli_epi16(x.b, 4), 15)}; }
template <int I>
inline __m256i move_high2(__m256i high) {
  if constexpr (I < 2) return and8(_mm256_slli_epi16(high, 4 - 2 * I), 0x30);
  if constexpr (I == 2) return and8(high, 0x30);
  return and8(_mm256_srli_epi16(high, 2), 0x30);
}
template <int I>
inline u8x64 join_high2(u8x64 nibble, u8x64 high) {
  return {_mm256_or_si256(nibble.a, move_high2<I>(high.a)), _mm256_or_si256(nibble.b, move_high2<I>(high.b))};
}
template <int I>
inline __m256i move_bit(__m256i high) {
  if constexpr (I < 4) return and8(_mm256_slli_epi16(high, 4 - I), 0x10);
  if constexpr (I == 4) return and8(high, 0x10);
  return and8(_mm256_srli_epi16(high, I - 4), 0x10);
}
template <int I>
inline u8x64 join_bit(u8x64 nibble, u8x64 high) {
  return {_mm256_or_si256(nibble.a, move_bit<I>(high.a)), _mm256_or_si256(nibble.b, move_bit<I>(high.b))};
}
inline u8x64 repeat16(const uint8_t* p) {
  const __m256i both = _mm256_broadcastsi128_si256(half_load(p));
  return {both, both};
}
// From a table made by repeat16(), for codes below 16.
inline u8x64 look_up(u8x64 table, u8x64 codes) {
  return {_mm256_shuffle_epi8(table.a, codes.a), _mm256_shuffle_epi8(table.b, codes.b)};
}
// Element by element from a table of 16, by the low 4 bits of each lane: 8 of the low half, 8 of the high one, and bit 3 says
// which.
inline __m256 look_up_half(f32x16 table, __m256i codes) {
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table.a, codes), _mm256_permutevar8x32_ps(table.b, codes),
                          _mm256_castsi256_ps(_mm256_slli_epi32(codes, 28)));
}
inline f32x16 look_up(f32x16 table, i32x16 codes) { return {look_up_half(table, codes.a), look_up_half(table, codes.b)}; }
inline i32x16 as_lanes(u8x64 x) { return {x.a, x.b}; }
// The lowest byte of a lane in all four.
inline i32x16 repeat_low_byte(i32x16 x) {
  const __m256i from = _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c, 0, 0x04040404, 0x08080808, 0x0c0c0c0c);
  return {_mm256_shuffle_epi8(x.a, from), _mm256_shuffle_epi8(x.b, from)};
}
inline u8x64 as_bytes(i32x16 x) { return {x.a, x.b}; }

// 16-bit pair sums of u8 x s8 products. They fit up to 6-bit codes (63 x 127 x 2); 8-bit codes go in as |w| and x with w's sign.
template <int Bits>
inline __m256i pair_products(__m256i w, __m256i x) {
  if constexpr (Bits < 8) return _mm256_maddubs_epi16(w, x);
  w = _mm256_xor_si256(w, _mm256_set1_epi8(char(0x80)));
  return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
}
inline __m256i add_pairs(__m256i acc, __m256i pairs) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
inline __m256i four_bytes(const int8_t* x) {
  int32_t word;
  __builtin_memcpy(&word, x, 4);
  return _mm256_set1_epi32(word);
}
template <int Bits>
inline i32x16 dot4(i32x16 acc, u8x64 w, const int8_t* x) {
  const __m256i all = four_bytes(x);
  return {add_pairs(acc.a, pair_products<Bits>(w.a, all)), add_pairs(acc.b, pair_products<Bits>(w.b, all))};
}
// sum[n] += 16 columns x the 16 signed bytes at x[n] + column. As many products meet in 16 bits as fit: 4 vectors
// of up to 5-bit codes (31 x 127 x 8 < 2^15), 2 of 6 bits (63 x 127 x 4), 1 of 8 bits.
template <int Bits, int N>
inline void dot16(i32x16 (&sum)[N], const u8x64 (&w)[4], const int8_t* const (&x)[N], int64_t column) {
  constexpr int kTogether = Bits <= 5 ? 4 : Bits <= 6 ? 2 : 1;
  for (int n = 0; n < N; ++n)
    for (int i = 0; i < 4; i += kTogether) {
      __m256i all = four_bytes(x[n] + column + 4 * i);
      __m256i a = pair_products<Bits>(w[i].a, all), b = pair_products<Bits>(w[i].b, all);
      for (int j = i + 1; j < i + kTogether; ++j) {
        all = four_bytes(x[n] + column + 4 * j);
        a = _mm256_add_epi16(a, pair_products<Bits>(w[j].a, all));
        b = _mm256_add_epi16(b, pair_products<Bits>(w[j].b, all));
      }
      sum[n] = {add_pairs(sum[n].a, a), add_pairs(sum[n].b, b)};
    }
}
// Two 16-bit values a lane, from 32 bytes.
inline i16x32 load_u8_pairs(const uint8_t* p) {
  return {_mm256_cvtepu8_epi16(half_load(p)), _mm256_cvtepu8_epi16(half_load(p + 16))};
}
inline i32x16 even_of(i16x32 x) {
  return {_mm256_srai_epi32(_mm256_slli_epi32(x.a, 16), 16), _mm256_srai_epi32(_mm256_slli_epi32(x.b, 16), 16)};
}
inline i32x16 odd_of(i16x32 x) { return {_mm256_srai_epi32(x.a, 16), _mm256_srai_epi32(x.b, 16)}; }
// acc + even x x[0] + odd x x[1], exact.
inline i32x16 dot2(i32x16 acc, i16x32 w, const int16_t* x) {
  int32_t word;
  __builtin_memcpy(&word, x, 4);
  const __m256i all = _mm256_set1_epi32(word);
  return {_mm256_add_epi32(acc.a, _mm256_madd_epi16(w.a, all)), _mm256_add_epi32(acc.b, _mm256_madd_epi16(w.b, all))};
}
inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

inline float reduce_add(f32x16 x) {
  const __m256 b = _mm256_add_ps(x.a, x.b);
  const __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  const __m128 d = _mm_add_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}
inline float reduce_max(f32x16 x) {
  const __m256 b = _mm256_max_ps(x.a, x.b);
  const __m128 c = _mm_max_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  const __m128 d = _mm_max_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_max_ss(d, _mm_movehdup_ps(d)));
}
inline int32_t reduce_add(i32x16 x) {
  const __m256i b = _mm256_add_epi32(x.a, x.b);
  const __m128i c = _mm_add_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
  const __m128i d = _mm_add_epi32(c, _mm_unpackhi_epi64(c, c));
  return _mm_cvtsi128_si32(_mm_add_epi32(d, _mm_shuffle_epi32(d, 1)));
}
inline void store_lanes(int32_t* p, i32x16 x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), x.b);
}
// Lane i: the sum of codes 16 i .. 16 i + 15, of 256.
inline i32x16 sums_of_16(const int8_t* codes) {
  const auto quads = [&](int i) {  // of 32 codes, 4 to a lane
    const __m256i bytes = byte_load(reinterpret_cast<const uint8_t*>(codes) + 32 * i);
    return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes), _mm256_set1_epi16(1));
  };
  const auto half = [&](int i) {  // of 128 codes
    const __m256i all =
        _mm256_hadd_epi32(_mm256_hadd_epi32(quads(i), quads(i + 1)), _mm256_hadd_epi32(quads(i + 2), quads(i + 3)));
    return _mm256_permutevar8x32_epi32(all, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  };
  return {half(0), half(4)};
}

// ---- attention: accumulators held in registers, queries x vectors, for elements and for quads of bytes ----
constexpr int kLaneRows = 6, kLaneVectors = 1;
constexpr int kQuadRows = 2, kQuadVectors = 1;
constexpr int32_t kKeyBias = 0;  // what a key's code counts too much in dot_keys
inline __m256i dot_keys_half(__m256i acc, __m256i keys, __m256i query) {
  const __m256i k = _mm256_xor_si256(keys, _mm256_set1_epi8(char(0x80)));
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(k), _mm256_sign_epi8(query, k));  // at most 128 x 127 x 2
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
// acc + sum over the lane's 4 bytes, exact: key codes (128 more than they mean) x signed query bytes, each in -127..127
inline i32x16 dot_keys(i32x16 acc, u8x64 keys, i32x16 query) {
  return {dot_keys_half(acc.a, keys.a, query.a), dot_keys_half(acc.b, keys.b, query.b)};
}
// 255 x 127 twice is too much for vpmaddubsw: even and odd bytes apart, as 16 bits.
inline __m256i dot_values_half(__m256i acc, __m256i values, __m256i weights) {
  const __m256i even =
      _mm256_madd_epi16(_mm256_srai_epi16(_mm256_slli_epi16(values, 8), 8), _mm256_and_si256(weights, _mm256_set1_epi16(0xff)));
  const __m256i odd = _mm256_madd_epi16(_mm256_srai_epi16(values, 8), _mm256_srli_epi16(weights, 8));
  return _mm256_add_epi32(acc, _mm256_add_epi32(even, odd));
}
// the same of unsigned weight bytes x signed values
inline i32x16 dot_values(i32x16 acc, u8x64 values, i32x16 weights) {
  return {dot_values_half(acc.a, values.a, weights.a), dot_values_half(acc.b, values.b, weights.b)};
}

// Low byte of each lane. REQUIRES: values in 0..255.
inline void store_u8(uint8_t* p, i32x16 x) {
  const __m256i words = narrow16(_mm256_packs_epi32(x.a, x.b));
  const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
}
// Into the second level of cache: twice the bandwidth of the first level's queue, and room for a span.
inline void prefetch_far(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

}  // namespace gale::avx2
