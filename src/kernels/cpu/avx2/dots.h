#pragma once
#include "kernels/cpu/common/groups.h"
#include "kernels/cpu/common/tile.h"
#include "kernels/cpu/common/unpack.h"

// The integer sums inside a block without an instruction for them: products meet in 16 bits for as long as they fit, and the one
// multiply that widens them takes the sub-scale along. The 8 outputs of a register at a time: one sum a row stays in registers.
namespace gale::GALE_ISA {

// Quads of columns whose products fit in 16 bits: (2^Bits - 1) x 127 x 2 each.
template <int Bits>
constexpr int kQuadsTogether = Bits <= 4 ? 8 : Bits == 5 ? 4 : 2;

enum class Take { all, low_nibble, high_nibble };  // of a code

// f(Int<0>) .. f(Int<Count - 1>): a loop left to the compiler keeps its sums in memory.
template <int Count, int I = 0, class F>
[[gnu::always_inline]] inline void unrolled(const F& f) {
  f(Int<I>{});
  if constexpr (I + 1 < Count) unrolled<Count, I + 1>(f);
}

// Free to reorder sums, the compiler keeps broadcasts for later, many more than there are registers.
[[gnu::always_inline]] inline void in_this_order(__m256i& sum) { __asm__ volatile("" : "+x"(sum)); }

// The codes of a quad of columns for 8 outputs.
template <int Bits, int Half, Take Part, int Quad>
[[gnu::always_inline]] inline __m256i quad_of(const uint8_t* codes) {
  u8x64 w[4];
  Unpack<Bits>::columns16(codes + Quad / 4 * Unpack<Bits>::kBytes, w);
  const __m256i half = Half == 0 ? w[Quad % 4].a : w[Quad % 4].b;
  if constexpr (Part == Take::low_nibble) return and8(half, 15);
  if constexpr (Part == Take::high_nibble) return and8(_mm256_srli_epi16(half, 4), 15);
  return half;
}

// 32 columns x 8 outputs: calls f(n, Int<quad>, sums) wherever 16 bits are full, with pairs of them a lane, `quad` the first summed.
template <int Bits, int Half, Take Part, int N, class F>
[[gnu::always_inline]] inline void pair_sums(const uint8_t* codes, const int8_t* const (&x)[N], const F& f) {
  constexpr int kTogether = Part == Take::all ? kQuadsTogether<Bits> : 8;
  unrolled<8 / kTogether>([&](auto run) __attribute__((always_inline)) {
    constexpr int kFirst = decltype(run)::value * kTogether;
    __m256i sum[N];
    unrolled<kTogether>([&](auto i) __attribute__((always_inline)) {
      constexpr int kI = decltype(i)::value, kQuad = kFirst + kI;
      const __m256i w = quad_of<Bits, Half, Part, kQuad>(codes);
      for (int n = 0; n < N; ++n) {
        const __m256i pairs = _mm256_maddubs_epi16(w, four_bytes(x[n] + 4 * kQuad));
        sum[n] = kI == 0 ? pairs : _mm256_add_epi16(sum[n], pairs);
        in_this_order(sum[n]);
      }
    });
    for (int n = 0; n < N; ++n) f(n, Int<kFirst>{}, sum[n]);
  });
}

template <int Half>
[[gnu::always_inline]] inline __m256i& half_of(i32x16& x) {
  return Half == 0 ? x.a : x.b;
}

// One register of dot_group.
template <int Bits, int Half, int N>
[[gnu::always_inline]] inline void dot_group_half(const uint8_t* codes, const int8_t* const (&x)[N], i32x16 (&sum)[N]) {
  const auto add_times = [&](int16_t factor) {
    return [&sum, factor](int n, auto, __m256i pairs) __attribute__((always_inline)) {
      __m256i& to = half_of<Half>(sum[n]);
      to = _mm256_add_epi32(to, _mm256_madd_epi16(pairs, _mm256_set1_epi16(factor)));
    };
  };
  if constexpr (Bits == 8) {
    pair_sums<Bits, Half, Take::low_nibble>(codes, x, add_times(1));
    pair_sums<Bits, Half, Take::high_nibble>(codes, x, add_times(16));
  } else {
    pair_sums<Bits, Half, Take::all>(codes, x, add_times(1));
  }
}

// sum[n] = 32 columns of (code - half the range) x those of the block x[n].
template <int Bits, int N>
[[gnu::always_inline]] inline void dot_group(const uint8_t* codes, const RoundedBlock32* const (&x)[N], int64_t ahead, i32x16 (&sum)[N]) {
  const int8_t* inputs[N];
  for (int n = 0; n < N; ++n) {
    inputs[n] = x[n]->codes;
    sum[n] = ishl<Bits - 1>(iset1(x[n]->minus));
  }
  prefetch_bytes(codes + ahead, 2 * Unpack<Bits>::kBytes);
  dot_group_half<Bits, 0>(codes, inputs, sum);
  dot_group_half<Bits, 1>(codes, inputs, sum);
}

// One register of dot_scaled.
template <int Bits, int Group, bool Minimum, int Half, int N>
[[gnu::always_inline]] inline void dot_scaled_half(const uint8_t* codes, const uint8_t* subs, const RoundedBlock256* const (&x)[N], int column,
                            i32x16 (&total)[N]) {
  __m256i scale[32 / Group];  // the sub-scale twice a lane
  for (int g = 0; g < 32 / Group; ++g) {
    const i32x16 all = Minimum ? load_u8(subs + 16 * g) : load_i8(subs + 16 * g);
    const __m256i low = _mm256_and_si256(Half == 0 ? all.a : all.b, _mm256_set1_epi32(0xffff));
    scale[g] = _mm256_or_si256(low, _mm256_slli_epi32(low, 16));
  }
  const int8_t* inputs[N];
  for (int n = 0; n < N; ++n) inputs[n] = x[n]->codes + column;
  pair_sums<Bits, Half, Take::all>(codes, inputs, [&](int n, auto quad, __m256i pairs) __attribute__((always_inline)) {
    __m256i& to = half_of<Half>(total[n]);
    to = _mm256_add_epi32(to, _mm256_madd_epi16(pairs, scale[decltype(quad)::value * 4 / Group]));
  });
  if constexpr (!Minimum)
    for (int g = 0; g < 32 / Group; ++g) {
      const __m256i half_range = _mm256_slli_epi32(_mm256_and_si256(scale[g], _mm256_set1_epi32(0xffff)), Bits - 1);
      const __m256i low = _mm256_and_si256(half_range, _mm256_set1_epi32(0xffff));  // its lane's upper half counts nothing
      for (int n = 0; n < N; ++n) {
        __m256i& to = half_of<Half>(total[n]);
        to = _mm256_add_epi32(to, _mm256_madd_epi16(low, _mm256_set1_epi32(x[n]->minus16[column / 16 + g * Group / 16])));
      }
    }
}

// total[n] += sub-scale x (code - half the range, or 0 with minimums) x input, over 32 columns from `column` of the block x[n];
// subs [32 / Group][16]: one byte a group and output.
template <int Bits, int Group, bool Minimum, int N>
[[gnu::always_inline]] inline void dot_scaled(const uint8_t* codes, const uint8_t* subs, const RoundedBlock256* const (&x)[N], int column, int64_t ahead,
                       i32x16 (&total)[N]) {
  static_assert(Bits <= 6 && (Minimum || Group == 16));
  prefetch_bytes(codes + ahead, 2 * Unpack<Bits>::kBytes);
  dot_scaled_half<Bits, Group, Minimum, 0>(codes, subs, x, column, total);
  dot_scaled_half<Bits, Group, Minimum, 1>(codes, subs, x, column, total);
}

}  // namespace gale::GALE_ISA
