#pragma once
// Sixteen lanes as plain arrays: the oracle the others are tested against. See kernels/cpu/common/README.md for the vocabulary.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/half.h"

namespace gale::generic {

struct f32x16 {
  float v[16];
};
struct i32x16 {
  int32_t v[16];
};
struct u8x64 {
  uint8_t v[64];
};
struct i16x32 {
  int16_t v[32];
};

constexpr int kRowTile = 4;       // rows of x that a matmul tile holds in registers
constexpr int kOneLevelRows = 4;  // where sums are integers and a tile needs a sum and an output a row
constexpr int kTwoLevelRows = 4;  // where it needs a block's total as well
constexpr bool kSigned8 = false;
constexpr int kSearchCandidates = 1;  // of a search for scales whose sums are in registers together

template <class Out, class F>
inline Out each(F f) {
  Out out;
  for (int i = 0; i < 16; ++i) out.v[i] = f(i);
  return out;
}

inline f32x16 zero() { return {}; }
inline f32x16 set1(float x) {
  return each<f32x16>([=](int) { return x; });
}
inline f32x16 load(const float* p) {
  return each<f32x16>([=](int i) { return p[i]; });
}
inline f32x16 load_first(const float* p, int64_t n) {
  return each<f32x16>([=](int i) { return i < n ? p[i] : 0.0f; });
}
inline void store(float* p, const f32x16& a) { std::memcpy(p, a.v, sizeof a.v); }
inline void store_first(float* p, const f32x16& a, int64_t n) { std::memcpy(p, a.v, sizeof(float) * size_t(n < 16 ? n : 16)); }
inline f32x16 load_f16(const uint16_t* p) {
  return each<f32x16>([=](int i) { return f16_to_f32(p[i]); });
}
inline f32x16 load_bf16(const uint16_t* p) {
  return each<f32x16>([=](int i) { return bf16_to_f32(p[i]); });
}
inline void store_f16(uint16_t* p, const f32x16& a) {
  for (int i = 0; i < 16; ++i) p[i] = f32_to_f16(a.v[i]);
}
inline f32x16 add(const f32x16& a, const f32x16& b) {
  return each<f32x16>([&](int i) { return a.v[i] + b.v[i]; });
}
inline f32x16 sub(const f32x16& a, const f32x16& b) {
  return each<f32x16>([&](int i) { return a.v[i] - b.v[i]; });
}
inline f32x16 mul(const f32x16& a, const f32x16& b) {
  return each<f32x16>([&](int i) { return a.v[i] * b.v[i]; });
}
inline f32x16 div(const f32x16& a, const f32x16& b) {
  return each<f32x16>([&](int i) { return a.v[i] / b.v[i]; });
}
// a b + c rounded once. std::fma is a call where the baseline has no such instruction, and slow where the machine has none; this
// vectorises. The product is exact as a double; the sum, rounded to odd (its last bit says whether anything was lost), rounds to
// the right f32 (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd").
inline float fused(float a, float b, float c) {
  const double product = double(a) * double(b), addend = double(c), sum = product + addend;
  const double added = sum - product, lost = (product - (sum - added)) + (addend - added);
  const uint64_t bits = std::bit_cast<uint64_t>(sum);
  const uint64_t step = (lost < 0 || lost > 0 ? 1u : 0u) & ~bits;
  return float(std::bit_cast<double>((lost > 0) == (sum > 0) ? bits + step : bits - step));
}
inline f32x16 fma(const f32x16& a, const f32x16& b, const f32x16& c) {
  return each<f32x16>([&](int i) { return fused(a.v[i], b.v[i], c.v[i]); });
}
inline f32x16 sqrt(const f32x16& a) {
  return each<f32x16>([&](int i) { return std::sqrt(a.v[i]); });
}
// To the nearest whole number, halves to even. REQUIRES: |a| < 2^22.
inline f32x16 nearest(const f32x16& a) {
  return each<f32x16>([&](int i) { return (a.v[i] + 0x1.8p23f) - 0x1.8p23f; });
}
// As the x86 instructions: the second operand where either is NaN.
inline f32x16 min(const f32x16& a, const f32x16& b) {
  return each<f32x16>([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline f32x16 max(const f32x16& a, const f32x16& b) {
  return each<f32x16>([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline f32x16 abs(const f32x16& a) {
  return each<f32x16>([&](int i) { return std::fabs(a.v[i]); });
}
inline f32x16 select_less(const f32x16& a, const f32x16& b, const f32x16& x, const f32x16& y) {
  return each<f32x16>([&](int i) { return a.v[i] < b.v[i] ? x.v[i] : y.v[i]; });
}

// Lane arithmetic wraps, as in the registers.
inline int32_t wrap(uint32_t x) { return int32_t(x); }
inline i32x16 izero() { return {}; }
inline i32x16 iset1(int32_t x) {
  return each<i32x16>([=](int) { return x; });
}
inline i32x16 iadd(const i32x16& a, const i32x16& b) {
  return each<i32x16>([&](int i) { return wrap(uint32_t(a.v[i]) + uint32_t(b.v[i])); });
}
inline i32x16 isub(const i32x16& a, const i32x16& b) {
  return each<i32x16>([&](int i) { return wrap(uint32_t(a.v[i]) - uint32_t(b.v[i])); });
}
inline i32x16 imul(const i32x16& a, const i32x16& b) {
  return each<i32x16>([&](int i) { return wrap(uint32_t(a.v[i]) * uint32_t(b.v[i])); });
}
template <int N>
inline i32x16 ishl(const i32x16& a) {
  return each<i32x16>([&](int i) { return wrap(uint32_t(a.v[i]) << N); });
}
template <int N>
inline i32x16 isra(const i32x16& a) {
  return each<i32x16>([&](int i) { return a.v[i] >> N; });
}
template <int N>
inline i32x16 ishr(const i32x16& a) {
  return each<i32x16>([&](int i) { return wrap(uint32_t(a.v[i]) >> N); });
}
inline i32x16 iand(const i32x16& a, int32_t mask) {
  return each<i32x16>([&](int i) { return a.v[i] & mask; });
}
inline f32x16 to_float(const i32x16& a) {
  return each<f32x16>([&](int i) { return float(a.v[i]); });
}
// Round to nearest even; out of range and NaN give INT32_MIN, as the x86 instruction does.
inline i32x16 to_int(const f32x16& a) {
  return each<i32x16>([&](int i) {
    const float r = std::nearbyintf(a.v[i]);
    return r >= -0x1p31f && r < 0x1p31f ? int32_t(r) : INT32_MIN;
  });
}
inline i32x16 bits_of(const f32x16& a) { return std::bit_cast<i32x16>(a); }
inline f32x16 float_of(const i32x16& a) { return std::bit_cast<f32x16>(a); }
inline i32x16 load_u8(const uint8_t* p) {
  return each<i32x16>([=](int i) { return int32_t(p[i]); });
}
inline i32x16 load_i8(const uint8_t* p) {
  return each<i32x16>([=](int i) { return int32_t(int8_t(p[i])); });
}
inline void store_i8(int8_t* p, const i32x16& a) {
  for (int i = 0; i < 16; ++i) p[i] = int8_t(a.v[i]);
}
inline void store_u16(uint16_t* p, const i32x16& a) {
  for (int i = 0; i < 16; ++i) p[i] = uint16_t(a.v[i]);
}

template <class F>
inline u8x64 each_byte(F f) {
  u8x64 out;
  for (int i = 0; i < 64; ++i) out.v[i] = uint8_t(f(i));
  return out;
}
inline u8x64 load_bytes(const uint8_t* p) {
  return each_byte([=](int i) { return p[i]; });
}
inline u8x64 low_nibbles(const u8x64& a) {
  return each_byte([&](int i) { return a.v[i] & 15; });
}
inline u8x64 high_nibbles(const u8x64& a) {
  return each_byte([&](int i) { return a.v[i] >> 4; });
}
template <int I>
inline u8x64 join_high2(const u8x64& nibble, const u8x64& high) {
  return each_byte([&](int i) { return nibble.v[i] | ((high.v[i] >> (2 * I)) & 3) << 4; });
}
template <int I>
inline u8x64 join_bit(const u8x64& nibble, const u8x64& high) {
  return each_byte([&](int i) { return nibble.v[i] | ((high.v[i] >> I) & 1) << 4; });
}
inline u8x64 repeat16(const uint8_t* p) {
  return each_byte([=](int i) { return p[i % 16]; });
}
// From a table made by repeat16(), for codes below 16.
inline u8x64 look_up(const u8x64& table, const u8x64& codes) {
  return each_byte([&](int i) { return table.v[codes.v[i]]; });
}
// Element by element from a table of 16, by the low 4 bits of each lane.
inline f32x16 look_up(const f32x16& table, const i32x16& codes) {
  return each<f32x16>([&](int i) { return table.v[codes.v[i] & 15]; });
}
inline i32x16 as_lanes(const u8x64& a) { return std::bit_cast<i32x16>(a); }
// The lowest byte of a lane in all four.
inline i32x16 repeat_low_byte(const i32x16& a) {
  return each<i32x16>([&](int i) { return wrap(uint32_t(a.v[i] & 255) * 0x01010101u); });
}
inline u8x64 as_bytes(const i32x16& a) { return std::bit_cast<u8x64>(a); }
template <int Bits>
inline i32x16 dot4(const i32x16& acc, const u8x64& w, const int8_t* x) {
  return each<i32x16>([&](int i) {
    int32_t sum = acc.v[i];
    for (int j = 0; j < 4; ++j) sum += int32_t(w.v[4 * i + j]) * x[j];
    return sum;
  });
}
// sum[n] += 16 columns x the 16 signed bytes at x[n] + column.
template <int Bits, int N>
inline void dot16(i32x16 (&sum)[N], const u8x64 (&w)[4], const int8_t* const (&x)[N], int64_t column) {
  for (int i = 0; i < 4; ++i)
    for (int n = 0; n < N; ++n) sum[n] = dot4<Bits>(sum[n], w[i], x[n] + column + 4 * i);
}
// Two 16-bit values a lane, from 32 bytes.
inline i16x32 load_u8_pairs(const uint8_t* p) {
  i16x32 out;
  for (int i = 0; i < 32; ++i) out.v[i] = p[i];
  return out;
}
inline i32x16 even_of(const i16x32& a) {
  return each<i32x16>([&](int i) { return int32_t(a.v[2 * i]); });
}
inline i32x16 odd_of(const i16x32& a) {
  return each<i32x16>([&](int i) { return int32_t(a.v[2 * i + 1]); });
}
inline i32x16 dot2(const i32x16& acc, const i16x32& w, const int16_t* x) {
  return each<i32x16>([&](int i) { return acc.v[i] + w.v[2 * i] * x[0] + w.v[2 * i + 1] * x[1]; });
}
inline void prefetch(const void*) {}

template <class T, class F>
inline T tree(const T (&v)[16], F f) {
  T t[16];
  std::memcpy(t, v, sizeof t);
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) t[i] = f(t[i], t[i + width]);
  return t[0];
}
inline float reduce_add(const f32x16& a) {
  return tree(a.v, [](float x, float y) { return x + y; });
}
inline float reduce_max(const f32x16& a) {
  return tree(a.v, [](float x, float y) { return x > y ? x : y; });
}
inline int32_t reduce_add(const i32x16& a) {
  return tree(a.v, [](int32_t x, int32_t y) { return wrap(uint32_t(x) + uint32_t(y)); });
}
inline void store_lanes(int32_t* p, const i32x16& a) { std::memcpy(p, a.v, sizeof a.v); }
// Lane i: the sum of codes 16 i .. 16 i + 15, of 256.
inline i32x16 sums_of_16(const int8_t* codes) {
  return each<i32x16>([&](int i) {
    int32_t sum = 0;
    for (int j = 16 * i; j < 16 * i + 16; ++j) sum += codes[j];
    return sum;
  });
}

// ---- attention: accumulators held in registers, queries x vectors, for elements and for quads of bytes ----
constexpr int kLaneRows = 2, kLaneVectors = 1;
constexpr int kQuadRows = 2, kQuadVectors = 1;
constexpr int32_t kKeyBias = 128;  // what a key's code counts too much in dot_keys
// acc + sum over the lane's 4 bytes, exact: key codes (128 more than they mean) x signed query bytes, each in -127..127
inline i32x16 dot_keys(const i32x16& acc, const u8x64& keys, const i32x16& query) {
  const auto q = std::bit_cast<u8x64>(query);
  return each<i32x16>([&](int i) {
    int32_t sum = acc.v[i];
    for (int j = 4 * i; j < 4 * i + 4; ++j) sum += int32_t(keys.v[j]) * int8_t(q.v[j]);
    return sum;
  });
}
// the same of unsigned weight bytes x signed values
inline i32x16 dot_values(const i32x16& acc, const u8x64& values, const i32x16& weights) {
  const auto w = std::bit_cast<u8x64>(weights);
  return each<i32x16>([&](int i) {
    int32_t sum = acc.v[i];
    for (int j = 4 * i; j < 4 * i + 4; ++j) sum += int32_t(w.v[j]) * int8_t(values.v[j]);
    return sum;
  });
}

// Low byte of each lane. REQUIRES: values in 0..255.
inline void store_u8(uint8_t* p, const i32x16& a) {
  for (int i = 0; i < 16; ++i) p[i] = uint8_t(a.v[i]);
}
inline void prefetch_far(const void*) {}

}  // namespace gale::generic
