#pragma once
#include <cstdint>

#include "kernels/cpu/kernels.h"

// What the core can do at most, with everything in registers: the ceilings that `gale bench` prints shares of.
namespace gale::GALE_ISA {

constexpr int kChains = 12;  // enough to cover the latency of a dot or fma twice a cycle

// Both return how many multiply-adds they did; `sink` keeps the compiler from dropping them.
int64_t peak_int8(int64_t rounds, float* sink) {
  alignas(64) uint8_t bytes[64];
  for (int i = 0; i < 64; ++i) bytes[i] = uint8_t(i & 15);
  alignas(64) int8_t x[64];
  for (int i = 0; i < 64; ++i) x[i] = int8_t(i - 32);
  const u8x64 w = load_bytes(bytes);
  i32x16 acc[kChains];
  for (int c = 0; c < kChains; ++c) acc[c] = iset1(c);
  for (int64_t r = 0; r < rounds; ++r)
    for (int c = 0; c < kChains; ++c) acc[c] = dot4<4>(acc[c], w, x + 4 * c);
  for (int c = 1; c < kChains; ++c) acc[0] = iadd(acc[0], acc[c]);
  store(sink, to_float(acc[0]));
  return rounds * kChains * 64;
}

int64_t peak_f32(int64_t rounds, float* sink) {
  f32x16 acc[kChains];
  for (int c = 0; c < kChains; ++c) acc[c] = set1(float(c));
  const f32x16 w = set1(0.999f);
  alignas(64) float x[kChains];
  for (int c = 0; c < kChains; ++c) x[c] = 0.002f * float(c + 1);
  for (int64_t r = 0; r < rounds; ++r)
    for (int c = 0; c < kChains; ++c) acc[c] = fma(acc[c], w, set1(x[c]));
  for (int c = 1; c < kChains; ++c) acc[0] = add(acc[0], acc[c]);
  store(sink, acc[0]);
  return rounds * kChains * 16;
}

int64_t peak_bf16(int64_t rounds, float* sink) {
  f32x16 acc[kChains];
  for (int c = 0; c < kChains; ++c) acc[c] = set1(float(c));
  alignas(64) uint16_t weights[32];
  for (int i = 0; i < 32; ++i) weights[i] = 0x3c00;  // 2^-7
  PairWord words[8 * kChains];
  for (int c = 0; c < kChains; ++c) store_words(words + 8 * c, set1(0.002f * float(c + 1)));
  const bf16x32 w = load_pairs(weights);
  for (int64_t r = 0; r < rounds; ++r)
    for (int c = 0; c < kChains; ++c) acc[c] = dot_pairs(acc[c], w, spread(words + 8 * c));
  for (int c = 1; c < kChains; ++c) acc[0] = add(acc[0], acc[c]);
  store(sink, acc[0]);
  return rounds * kChains * 32;
}

// Reads `bytes` (a multiple of 256) once, in order.
void read_memory(const std::byte* from, int64_t bytes, float* sink) {
  const auto* p = reinterpret_cast<const uint8_t*>(from);
  i32x16 acc[4];
  for (int c = 0; c < 4; ++c) acc[c] = izero();
  for (int64_t i = 0; i < bytes; i += 256)
    for (int c = 0; c < 4; ++c) {
      prefetch(p + i + 64 * c + 8192);
      acc[c] = iadd(acc[c], as_lanes(load_bytes(p + i + 64 * c)));
    }
  store(sink, to_float(iadd(iadd(acc[0], acc[1]), iadd(acc[2], acc[3]))));
}

}  // namespace gale::GALE_ISA
