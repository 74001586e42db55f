#pragma once
// Sixteen lanes as four registers of armv8-a. See kernels/cpu/common/README.md for the vocabulary that every simd.h offers.
#include <arm_neon.h>
#include <stddef.h>

#include <cstdint>

namespace gale::GALE_ISA {  // neon, neon_dotprod or neon_i8mm

struct f32x16 {
  float32x4_t v[4];
};
struct i32x16 {
  int32x4_t v[4];
};
struct u8x64 {
  uint8x16_t v[4];
};
struct i16x32 {
  int16x8_t v[4];
};

constexpr int kRowTile = 4;           // rows of x that a matmul tile holds in registers
constexpr int kOneLevelRows = 4;      // where sums are integers and a tile needs a sum and an output a row
constexpr int kTwoLevelRows = 4;      // where it needs a block's total as well
constexpr int kSearchCandidates = 1;  // of a search for scales whose sums are in registers together

template <class Out, class F>
inline Out each(F f) {
  Out out;
  for (int i = 0; i < 4; ++i) out.v[i] = f(i);
  return out;
}

inline f32x16 zero() {
  return each<f32x16>([](int) { return vdupq_n_f32(0); });
}
inline f32x16 set1(float x) {
  return each<f32x16>([=](int) { return vdupq_n_f32(x); });
}
inline f32x16 load(const float* p) {
  return each<f32x16>([=](int i) { return vld1q_f32(p + 4 * i); });
}
inline f32x16 load_first(const float* p, int64_t n) {
  if (n >= 16) return load(p);
  float copy[16] = {};
  __builtin_memcpy(copy, p, size_t(n) * sizeof(float));
  return load(copy);
}
inline void store(float* p, f32x16 a) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, a.v[i]);
}
inline void store_first(float* p, f32x16 a, int64_t n) {
  if (n >= 16) return store(p, a);
  float copy[16];
  store(copy, a);
  __builtin_memcpy(p, copy, size_t(n) * sizeof(float));
}
inline f32x16 load_f16(const uint16_t* p) {
  return each<f32x16>([=](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))); });
}
inline f32x16 load_bf16(const uint16_t* p) {
  return each<f32x16>([=](int i) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)); });
}
inline void store_f16(uint16_t* p, f32x16 a) {
  for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(a.v[i])));
}
inline f32x16 add(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return vaddq_f32(a.v[i], b.v[i]); });
}
inline f32x16 sub(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return vsubq_f32(a.v[i], b.v[i]); });
}
inline f32x16 mul(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return vmulq_f32(a.v[i], b.v[i]); });
}
inline f32x16 div(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return vdivq_f32(a.v[i], b.v[i]); });
}
inline f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
  return each<f32x16>([&](int i) { return vfmaq_f32(c.v[i], a.v[i], b.v[i]); });
}
inline f32x16 sqrt(f32x16 a) {
  return each<f32x16>([&](int i) { return vsqrtq_f32(a.v[i]); });
}
inline f32x16 nearest(f32x16 a) {
  return each<f32x16>([&](int i) { return vrndnq_f32(a.v[i]); });
}
// By comparison, so that NaN gives the second operand as on x86.
inline f32x16 min(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]); });
}
inline f32x16 max(f32x16 a, f32x16 b) {
  return each<f32x16>([&](int i) { return vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]); });
}
inline f32x16 abs(f32x16 a) {
  return each<f32x16>([&](int i) { return vabsq_f32(a.v[i]); });
}
inline f32x16 select_less(f32x16 a, f32x16 b, f32x16 x, f32x16 y) {
  return each<f32x16>([&](int i) { return vbslq_f32(vcltq_f32(a.v[i], b.v[i]), x.v[i], y.v[i]); });
}

inline i32x16 iset1(int32_t x) {
  return each<i32x16>([=](int) { return vdupq_n_s32(x); });
}
inline i32x16 izero() { return iset1(0); }
inline i32x16 iadd(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return vaddq_s32(a.v[i], b.v[i]); });
}
inline i32x16 isub(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return vsubq_s32(a.v[i], b.v[i]); });
}
inline i32x16 imul(i32x16 a, i32x16 b) {
  return each<i32x16>([&](int i) { return vmulq_s32(a.v[i], b.v[i]); });
}
template <int N>
inline i32x16 ishl(i32x16 a) {
  return each<i32x16>([&](int i) { return vshlq_n_s32(a.v[i], N); });
}
template <int N>
inline i32x16 isra(i32x16 a) {
  return each<i32x16>([&](int i) { return vshrq_n_s32(a.v[i], N); });
}
template <int N>
inline i32x16 ishr(i32x16 a) {
  return each<i32x16>([&](int i) { return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a.v[i]), N)); });
}
inline i32x16 iand(i32x16 a, int32_t mask) {
  return each<i32x16>([&](int i) { return vandq_s32(a.v[i], vdupq_n_s32(mask)); });
}
inline f32x16 to_float(i32x16 a) {
  return each<f32x16>([&](int i) { return vcvtq_f32_s32(a.v[i]); });
}
inline i32x16 to_int(f32x16 a) {
  return each<i32x16>([&](int i) { return vcvtnq_s32_f32(a.v[i]); });
}
inline i32x16 bits_of(f32x16 a) {
  return each<i32x16>([&](int i) { return vreinterpretq_s32_f32(a.v[i]); });
}
inline f32x16 float_of(i32x16 a) {
  return each<f32x16>([&](int i) { return vreinterpretq_f32_s32(a.v[i]); });
}
inline i32x16 load_u8(const uint8_t* p) {
  const uint8x16_t all = vld1q_u8(p);
  const uint16x8_t low = vmovl_u8(vget_low_u8(all)), high = vmovl_u8(vget_high_u8(all));
  const auto wide = [](uint16x4_t h) { return vreinterpretq_s32_u32(vmovl_u16(h)); };
  return {{wide(vget_low_u16(low)), wide(vget_high_u16(low)), wide(vget_low_u16(high)), wide(vget_high_u16(high))}};
}
inline i32x16 load_i8(const uint8_t* p) {
  const int8x16_t all = vreinterpretq_s8_u8(vld1q_u8(p));
  const int16x8_t low = vmovl_s8(vget_low_s8(all)), high = vmovl_s8(vget_high_s8(all));
  return {{vmovl_s16(vget_low_s16(low)), vmovl_s16(vget_high_s16(low)), vmovl_s16(vget_low_s16(high)),
           vmovl_s16(vget_high_s16(high))}};
}
inline void store_u16(uint16_t* p, i32x16 a) {
  for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vmovn_u32(vreinterpretq_u32_s32(a.v[i])));
}
inline void store_i8(int8_t* p, i32x16 a) {
  for (int i = 0; i < 2; ++i) {
    const int16x8_t words = vcombine_s16(vmovn_s32(a.v[2 * i]), vmovn_s32(a.v[2 * i + 1]));
    vst1_s8(p + 8 * i, vmovn_s16(words));
  }
}

inline u8x64 load_bytes(const uint8_t* p) {
  return each<u8x64>([=](int i) { return vld1q_u8(p + 16 * i); });
}
inline u8x64 low_nibbles(u8x64 a) {
  return each<u8x64>([&](int i) { return vandq_u8(a.v[i], vdupq_n_u8(15)); });
}
inline u8x64 high_nibbles(u8x64 a) {
  return each<u8x64>([&](int i) { return vshrq_n_u8(a.v[i], 4); });
}
template <int I>
inline u8x64 join_high2(u8x64 nibble, u8x64 high) {
  return each<u8x64>([&](int i) {
    const uint8x16_t two = vandq_u8(vshlq_u8(high.v[i], vdupq_n_s8(-2 * I)), vdupq_n_u8(3));
    return vorrq_u8(nibble.v[i], vshlq_n_u8(two, 4));
  });
}
template <int I>
inline u8x64 join_bit(u8x64 nibble, u8x64 high) {
  return each<u8x64>([&](int i) {
    const uint8x16_t one = vandq_u8(vshlq_u8(high.v[i], vdupq_n_s8(-I)), vdupq_n_u8(1));
    return vorrq_u8(nibble.v[i], vshlq_n_u8(one, 4));
  });
}
inline u8x64 repeat16(const uint8_t* p) {
  return each<u8x64>([=](int) { return vld1q_u8(p); });
}
// From a table made by repeat16(), for codes below 16.
inline u8x64 look_up(u8x64 table, u8x64 codes) {
  return each<u8x64>([&](int i) { return vqtbl1q_u8(table.v[i], codes.v[i]); });
}
// Element by element from a table of 16, by the low 4 bits of each lane: the table is 64 bytes, an element 4 of them.
inline f32x16 look_up(f32x16 table, i32x16 codes) {
  uint8x16x4_t bytes;
  for (int i = 0; i < 4; ++i) bytes.val[i] = vreinterpretq_u8_f32(table.v[i]);
  return each<f32x16>([&](int i) {
    const uint32x4_t code = vandq_u32(vreinterpretq_u32_s32(codes.v[i]), vdupq_n_u32(15));
    const uint32x4_t at = vmlaq_u32(vdupq_n_u32(0x03020100), code, vdupq_n_u32(0x04040404));
    return vreinterpretq_f32_u8(vqtbl4q_u8(bytes, vreinterpretq_u8_u32(at)));
  });
}
inline i32x16 as_lanes(u8x64 a) {
  return each<i32x16>([&](int i) { return vreinterpretq_s32_u8(a.v[i]); });
}
// The lowest byte of a lane in all four.
inline i32x16 repeat_low_byte(i32x16 a) {
  return each<i32x16>([&](int i) { return vmulq_s32(vandq_s32(a.v[i], vdupq_n_s32(255)), vdupq_n_s32(0x01010101)); });
}
inline u8x64 as_bytes(i32x16 a) {
  return each<u8x64>([&](int i) { return vreinterpretq_u8_s32(a.v[i]); });
}
// 4 bytes in every lane.
inline int8x16_t four_bytes(const int8_t* x) {
  int32_t word;
  __builtin_memcpy(&word, x, 4);
  return vreinterpretq_s8_s32(vdupq_n_s32(word));
}
// Two 16-bit values a lane, from 32 bytes.
inline i16x32 load_u8_pairs(const uint8_t* p) {
  return each<i16x32>([=](int i) { return vreinterpretq_s16_u16(vmovl_u8(vld1_u8(p + 8 * i))); });
}
inline i32x16 even_of(i16x32 a) {
  return each<i32x16>([&](int i) { return vshrq_n_s32(vshlq_n_s32(vreinterpretq_s32_s16(a.v[i]), 16), 16); });
}
inline i32x16 odd_of(i16x32 a) {
  return each<i32x16>([&](int i) { return vshrq_n_s32(vreinterpretq_s32_s16(a.v[i]), 16); });
}
// acc + even x x[0] + odd x x[1], exact.
inline i32x16 dot2(i32x16 acc, i16x32 w, const int16_t* x) {
  int32_t word;
  __builtin_memcpy(&word, x, 4);
  const int16x8_t all = vreinterpretq_s16_s32(vdupq_n_s32(word));
  return each<i32x16>([&](int i) {
    const int32x4_t low = vmull_s16(vget_low_s16(w.v[i]), vget_low_s16(all)),
                    high = vmull_s16(vget_high_s16(w.v[i]), vget_high_s16(all));
    return vaddq_s32(acc.v[i], vpaddq_s32(low, high));
  });
}
inline void prefetch(const void* p) { __builtin_prefetch(p); }

// The same trees as everywhere: i and i + 8, then + 4, + 2, + 1.
inline float reduce_add(f32x16 a) {
  const float32x4_t c = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
  const float32x2_t d = vadd_f32(vget_low_f32(c), vget_high_f32(c));
  return vget_lane_f32(d, 0) + vget_lane_f32(d, 1);
}
inline float reduce_max(f32x16 a) {
  const f32x16 b = max(a, f32x16{{a.v[2], a.v[3], a.v[0], a.v[1]}});
  float lanes[8];
  vst1q_f32(lanes, b.v[0]);
  vst1q_f32(lanes + 4, b.v[1]);
  float top = lanes[0];
  for (int i = 1; i < 8; ++i) top = top > lanes[i] ? top : lanes[i];
  return top;
}
inline int32_t reduce_add(i32x16 a) { return vaddvq_s32(vaddq_s32(vaddq_s32(a.v[0], a.v[1]), vaddq_s32(a.v[2], a.v[3]))); }
inline void store_lanes(int32_t* p, i32x16 a) {
  for (int i = 0; i < 4; ++i) vst1q_s32(p + 4 * i, a.v[i]);
}
// Lane i: the sum of codes 16 i .. 16 i + 15, of 256.
inline i32x16 sums_of_16(const int8_t* codes) {
  const auto quads = [&](int i) { return vpaddlq_s16(vpaddlq_s8(vld1q_s8(codes + 16 * i))); };
  return each<i32x16>([&](int i) {
    return vpaddq_s32(vpaddq_s32(quads(4 * i), quads(4 * i + 1)), vpaddq_s32(quads(4 * i + 2), quads(4 * i + 3)));
  });
}

// ---- attention: accumulators held in registers, queries x vectors, for elements and for quads of bytes; their dots are in
// quads.h
constexpr int kLaneRows = 5, kLaneVectors = 1;
constexpr int kQuadRows = 2, kQuadVectors = 1;
// Low byte of each lane. REQUIRES: values in 0..255.
inline void store_u8(uint8_t* p, i32x16 a) { store_i8(reinterpret_cast<int8_t*>(p), a); }
// Into the second level of cache: twice the bandwidth of the first level's queue, and room for a span.
inline void prefetch_far(const void* p) { __builtin_prefetch(p, 0, 2); }

}  // namespace gale::GALE_ISA
