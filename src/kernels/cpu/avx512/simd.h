#pragma once
// Sixteen lanes as one register. See kernels/cpu/common/README.md for the vocabulary that every simd.h offers.
#include <immintrin.h>

#include <cstdint>

namespace gale::GALE_ISA {  // avx512 or avx512_bf16

struct f32x16 {
  __m512 v;
};
struct i32x16 {
  __m512i v;
};
struct u8x64 {
  __m512i v;
};
struct i16x32 {
  __m512i v;
};

constexpr int kRowTile = 8;           // rows of x that a matmul tile holds in registers
constexpr int kOneLevelRows = 10;     // where sums are integers and a tile needs a sum and an output a row
constexpr int kTwoLevelRows = 8;      // where it needs a block's total as well
constexpr bool kSigned8 = false;      // 8-bit codes enter dot4 as they are: unsigned
constexpr int kSearchCandidates = 4;  // of a search for scales whose sums are in registers together

inline __mmask16 lanes(int64_t n) { return n >= 16 ? __mmask16(0xffff) : __mmask16((1u << n) - 1); }

inline f32x16 zero() { return {_mm512_setzero_ps()}; }
inline f32x16 set1(float x) { return {_mm512_set1_ps(x)}; }
inline f32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline f32x16 load_first(const float* p, int64_t n) { return {_mm512_maskz_loadu_ps(lanes(n), p)}; }
inline void store(float* p, f32x16 a) { _mm512_storeu_ps(p, a.v); }
inline void store_first(float* p, f32x16 a, int64_t n) { _mm512_mask_storeu_ps(p, lanes(n), a.v); }
inline f32x16 load_f16(const uint16_t* p) { return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))}; }
inline f32x16 load_bf16(const uint16_t* p) {
  return {
      _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16))};
}
inline void store_f16(uint16_t* p, f32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline f32x16 add(f32x16 a, f32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline f32x16 sub(f32x16 a, f32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline f32x16 mul(f32x16 a, f32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline f32x16 div(f32x16 a, f32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
inline f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline f32x16 sqrt(f32x16 a) { return {_mm512_sqrt_ps(a.v)}; }
inline f32x16 nearest(f32x16 a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline f32x16 min(f32x16 a, f32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
inline f32x16 max(f32x16 a, f32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline f32x16 abs(f32x16 a) { return {_mm512_abs_ps(a.v)}; }
// a < b ? x : y, lane by lane
inline f32x16 select_less(f32x16 a, f32x16 b, f32x16 x, f32x16 y) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}

inline i32x16 izero() { return {_mm512_setzero_si512()}; }
inline i32x16 iset1(int32_t x) { return {_mm512_set1_epi32(x)}; }
inline i32x16 iadd(i32x16 a, i32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline i32x16 isub(i32x16 a, i32x16 b) { return {_mm512_sub_epi32(a.v, b.v)}; }
inline i32x16 imul(i32x16 a, i32x16 b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
template <int N>
inline i32x16 ishl(i32x16 a) {
  return {_mm512_slli_epi32(a.v, N)};
}
template <int N>
inline i32x16 isra(i32x16 a) {
  return {_mm512_srai_epi32(a.v, N)};
}
inline f32x16 to_float(i32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline i32x16 to_int(f32x16 a) { return {_mm512_cvtps_epi32(a.v)}; }
inline i32x16 bits_of(f32x16 a) { return {_mm512_castps_si512(a.v)}; }
inline f32x16 float_of(i32x16 a) { return {_mm512_castsi512_ps(a.v)}; }
inline i32x16 load_u8(const uint8_t* p) { return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))}; }
inline i32x16 load_i8(const uint8_t* p) { return {_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))}; }
// Low byte of each lane. REQUIRES: values in -128..127.
inline void store_i8(int8_t* p, i32x16 a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a.v)); }
// Low half of each lane.
inline void store_u16(uint16_t* p, i32x16 a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(a.v)); }
inline i32x16 iand(i32x16 a, int32_t mask) { return {_mm512_and_si512(a.v, _mm512_set1_epi32(mask))}; }
template <int N>
inline i32x16 ishr(i32x16 a) {
  return {_mm512_srli_epi32(a.v, N)};
}

inline u8x64 load_bytes(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
inline u8x64 low_nibbles(u8x64 a) { return {_mm512_and_si512(a.v, _mm512_set1_epi8(15))}; }
inline u8x64 high_nibbles(u8x64 a) { return {_mm512_and_si512(_mm512_srli_epi16(a.v, 4), _mm512_set1_epi8(15))}; }
// nibble | bits (2 I, 2 I + 1) of each byte of `high` at bits 4 and 5
template <int I>
inline u8x64 join_high2(u8x64 nibble, u8x64 high) {
  __m512i moved = high.v;
  if constexpr (I < 2) moved = _mm512_slli_epi16(high.v, 4 - 2 * I);
  if constexpr (I > 2) moved = _mm512_srli_epi16(high.v, 2);
  return {_mm512_ternarylogic_epi64(nibble.v, moved, _mm512_set1_epi8(0x30), 0xf8)};  // a | (b & c)
}
// nibble | bit I of each byte of `high` at bit 4
template <int I>
inline u8x64 join_bit(u8x64 nibble, u8x64 high) {
  __m512i moved = high.v;
  if constexpr (I < 4) moved = _mm512_slli_epi16(high.v, 4 - I);
  if constexpr (I > 4) moved = _mm512_srli_epi16(high.v, I - 4);
  return {_mm512_ternarylogic_epi64(nibble.v, moved, _mm512_set1_epi8(0x10), 0xf8)};  // a | (b & c)
}
inline u8x64 repeat16(const uint8_t* p) { return {_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))}; }
// From a table made by repeat16(), for codes below 16.
inline u8x64 look_up(u8x64 table, u8x64 codes) { return {_mm512_shuffle_epi8(table.v, codes.v)}; }
// Element by element from a table of 16, by the low 4 bits of each lane.
inline f32x16 look_up(f32x16 table, i32x16 codes) { return {_mm512_permutexvar_ps(codes.v, table.v)}; }
inline i32x16 as_lanes(u8x64 a) { return {a.v}; }
// The lowest byte of a lane in all four.
inline i32x16 repeat_low_byte(i32x16 a) {
  return {_mm512_shuffle_epi8(a.v, _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0))};
}
inline u8x64 as_bytes(i32x16 a) { return {a.v}; }
// acc + sum over the lane's 4 bytes of w x the 4 signed bytes at x, exact. Bits is the width of a code.
template <int Bits>
inline i32x16 dot4(i32x16 acc, u8x64 w, const int8_t* x) {
  int32_t word;
  __builtin_memcpy(&word, x, 4);
  return {_mm512_dpbusd_epi32(acc.v, w.v, _mm512_set1_epi32(word))};
}
// sum[n] += 16 columns x the 16 signed bytes at x[n] + column, column by column so that N chains hide the latency.
template <int Bits, int N>
inline void dot16(i32x16 (&sum)[N], const u8x64 (&w)[4], const int8_t* const (&x)[N], int64_t column) {
  for (int i = 0; i < 4; ++i)
    for (int n = 0; n < N; ++n) sum[n] = dot4<Bits>(sum[n], w[i], x[n] + column + 4 * i);
}
// Two 16-bit values a lane, from 32 bytes.
inline i16x32 load_u8_pairs(const uint8_t* p) {
  return {_mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline i32x16 even_of(i16x32 a) { return {_mm512_srai_epi32(_mm512_slli_epi32(a.v, 16), 16)}; }
inline i32x16 odd_of(i16x32 a) { return {_mm512_srai_epi32(a.v, 16)}; }
// acc + even x x[0] + odd x x[1], exact.
inline i32x16 dot2(i32x16 acc, i16x32 w, const int16_t* x) {
  int32_t word;
  __builtin_memcpy(&word, x, 4);
  return {_mm512_dpwssd_epi32(acc.v, w.v, _mm512_set1_epi32(word))};
}
inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

// Fixed trees: lanes i and i + 8, then + 4, + 2, + 1. The same on every instruction set.
inline float reduce_add(f32x16 a) {
  const __m256 b = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  const __m128 d = _mm_add_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}
inline float reduce_max(f32x16 a) { return _mm512_reduce_max_ps(a.v); }
inline int32_t reduce_add(i32x16 a) { return _mm512_reduce_add_epi32(a.v); }
inline void store_lanes(int32_t* p, i32x16 a) { _mm512_storeu_si512(p, a.v); }
// Lane i: the sum of codes 16 i .. 16 i + 15, of 256.
inline i32x16 sums_of_16(const int8_t* codes) {
  const auto quads = [&](int i) {  // of 64 codes, 4 to a lane
    return _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), _mm512_loadu_si512(codes + 64 * i));
  };
  const auto join = [](__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  };
  const __m512i a = join(quads(0), quads(1)), b = join(quads(2), quads(3));
  const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));  // [quarter][vector]
  return {_mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), all)};
}

// ---- attention: accumulators held in registers, queries x vectors, for elements and for quads of bytes ----
constexpr int kLaneRows = 6, kLaneVectors = 4;
constexpr int kQuadRows = 6, kQuadVectors = 2;
constexpr int32_t kKeyBias = 128;  // what a key's code counts too much in dot_keys
// acc + sum over the lane's 4 bytes, exact: key codes (128 more than they mean) x signed query bytes, each in -127..127
inline i32x16 dot_keys(i32x16 acc, u8x64 keys, i32x16 query) { return {_mm512_dpbusd_epi32(acc.v, keys.v, query.v)}; }
// the same of unsigned weight bytes x signed values
inline i32x16 dot_values(i32x16 acc, u8x64 values, i32x16 weights) { return {_mm512_dpbusd_epi32(acc.v, weights.v, values.v)}; }

// Low byte of each lane. REQUIRES: values in 0..255.
inline void store_u8(uint8_t* p, i32x16 a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a.v)); }
// Into the second level of cache: twice the bandwidth of the first level's queue, and room for a span.
inline void prefetch_far(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

}  // namespace gale::GALE_ISA
