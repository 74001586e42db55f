#pragma once
#include "kernels/cpu/common/groups.h"
#include "kernels/cpu/common/tile.h"
#include "kernels/cpu/common/unpack.h"

// The integer sums inside a block without an instruction for them: products meet in 16 bits for as long as they fit, and the one
// multiply that widens them takes the sub-scale along.
namespace gale::GALE_ISA {

// Quads of columns whose products fit in 16 bits: (2^Bits - 1) x 127 x 2 each.
template <int Bits>
constexpr int kQuadsTogether = Bits <= 4   ? 8
                               : Bits == 5 ? 4
                               : Bits == 6 ? 2
                                           : 1;

enum class Take { all, low_nibble, high_nibble };  // of a code

// f(Int<0>) .. f(Int<Count - 1>): a loop left to the compiler keeps its sums in memory.
template <int Count, int I = 0, class F>
[[gnu::always_inline]] inline void unrolled(const F& f) {
  f(Int<I>{});
  if constexpr (I + 1 < Count) unrolled<Count, I + 1>(f);
}

// Free to reorder sums, the compiler keeps broadcasts for later, many more than there are registers.
[[gnu::always_inline]] inline void in_this_order(i16x32& sum) { __asm__ volatile("" : "+x"(sum.a), "+x"(sum.b)); }

// The bytes of a quad of columns.
template <Take Part, int Quad, class Codes>
[[gnu::always_inline]] inline u8x64 quad_of(const Codes& how, const uint8_t* codes) {
  u8x64 w[4];
  if constexpr (Codes::kColumns == 32)
    how.template columns16<Quad / 4>(codes, w);
  else
    how.template columns16<0>(codes + Quad / 4 * Codes::kBytes, w);
  if constexpr (Part == Take::low_nibble) return low_nibbles(w[Quad % 4]);
  if constexpr (Part == Take::high_nibble) return high_nibbles(w[Quad % 4]);
  return w[Quad % 4];
}

// 32 columns: calls f(n, Int<quad>, sums) wherever 16 bits are full or Quads are summed, with pairs of them a lane, `quad` the
// first summed.
template <Take Part, int Quads, class Codes, int N, class F>
[[gnu::always_inline]] inline void pair_sums(const Codes& how, const uint8_t* codes, const int8_t* const (&x)[N], const F& f) {
  constexpr int kFull = Part == Take::all ? kQuadsTogether<Codes::kBits> : 8, kTogether = kFull < Quads ? kFull : Quads;
  unrolled<8 / kTogether>([&](auto run) __attribute__((always_inline)) {
    constexpr int kFirst = decltype(run)::value * kTogether;
    i16x32 sum[N];
    unrolled<kTogether>([&](auto i) __attribute__((always_inline)) {
      constexpr int kI = decltype(i)::value, kQuad = kFirst + kI;
      const u8x64 w = quad_of<Part, kQuad>(how, codes);
      for (int n = 0; n < N; ++n) {
        const __m256i all = four_bytes(x[n] + 4 * kQuad), a = _mm256_maddubs_epi16(w.a, all), b = _mm256_maddubs_epi16(w.b, all);
        sum[n] = kI == 0 ? i16x32{a, b} : i16x32{_mm256_add_epi16(sum[n].a, a), _mm256_add_epi16(sum[n].b, b)};
        in_this_order(sum[n]);
      }
    });
    for (int n = 0; n < N; ++n) f(n, Int<kFirst>{}, sum[n]);
  });
}

// to += the pairs x those of `factors`.
[[gnu::always_inline]] inline void add_pairs(i32x16& to, i16x32 pairs, i16x32 factors) {
  to.a = _mm256_add_epi32(to.a, _mm256_madd_epi16(pairs.a, factors.a));
  to.b = _mm256_add_epi32(to.b, _mm256_madd_epi16(pairs.b, factors.b));
}

// sum[n] = 32 columns of (byte - half the range, or 0 with minimums) x those of the block x[n].
template <bool Minimum, class Codes, int N>
[[gnu::always_inline]] inline void dot_group(const Codes& how, const uint8_t* codes, const RoundedBlock32* const (&x)[N],
                                             int64_t ahead, i32x16 (&sum)[N]) {
  const int8_t* inputs[N];
  for (int n = 0; n < N; ++n) {
    inputs[n] = x[n]->codes;
    sum[n] = Minimum ? izero() : ishl<Codes::kBits - 1>(iset1(x[n]->minus));
  }
  const auto add_times = [&](int16_t factor) {
    return [&sum, factor](int n, auto, i16x32 pairs) __attribute__((always_inline)) {
      add_pairs(sum[n], pairs, {_mm256_set1_epi16(factor), _mm256_set1_epi16(factor)});
    };
  };
  prefetch_bytes(codes + ahead, kBytesOf32<Codes>);
  if constexpr (Codes::kBits == 8) {
    pair_sums<Take::low_nibble, 8>(how, codes, inputs, add_times(1));
    pair_sums<Take::high_nibble, 8>(how, codes, inputs, add_times(16));
  } else {
    pair_sums<Take::all, 8>(how, codes, inputs, add_times(1));
  }
}

// total[n] += sub-scale x (byte - half the range, or 0 with minimums) x input, over 32 columns from `column` of the block x[n];
// subs [32 / Group][16]: one byte a group and output.
template <int Group, bool Minimum, class Codes, int N>
[[gnu::always_inline]] inline void dot_scaled(const Codes& how, const uint8_t* codes, const uint8_t* subs,
                                              const RoundedBlock256* const (&x)[N], int column, int64_t ahead,
                                              i32x16 (&total)[N]) {
  const auto low = [](i32x16 all) { return iand(all, 0xffff); };
  const auto twice = [&](i32x16 x) -> i16x32 {  // in both halves of a lane
    const i32x16 one = low(x), other = ishl<16>(one);
    return {_mm256_or_si256(one.a, other.a), _mm256_or_si256(one.b, other.b)};
  };
  i16x32 scale[32 / Group];
  for (int g = 0; g < 32 / Group; ++g) scale[g] = twice(Minimum ? load_u8(subs + 16 * g) : load_i8(subs + 16 * g));
  const int8_t* inputs[N];
  for (int n = 0; n < N; ++n) inputs[n] = x[n]->codes + column;
  prefetch_bytes(codes + ahead, kBytesOf32<Codes>);
  const auto add_scaled = [&](int n, auto quad, i16x32 pairs) __attribute__((always_inline)) {
    add_pairs(total[n], pairs, scale[decltype(quad)::value * 4 / Group]);
  };
  if constexpr (Codes::kBits == 8) {
    pair_sums<Take::low_nibble, Group / 4>(how, codes, inputs, add_scaled);
    for (int g = 0; g < 32 / Group; ++g) scale[g] = {_mm256_slli_epi16(scale[g].a, 4), _mm256_slli_epi16(scale[g].b, 4)};
    pair_sums<Take::high_nibble, Group / 4>(how, codes, inputs, add_scaled);
  } else {
    pair_sums<Take::all, Group / 4>(how, codes, inputs, add_scaled);
  }
  if constexpr (!Minimum)
    for (int i = 0; i < 2; ++i) {
      const i32x16 owed =
          low(ishl<Codes::kBits - 1>(load_i8(subs + 16 * (16 * i / Group))));  // a lane's upper half counts nothing
      for (int n = 0; n < N; ++n) {
        const __m256i minus = _mm256_set1_epi32(x[n]->minus16[column / 16 + i]);
        add_pairs(total[n], {minus, minus}, {owed.a, owed.b});
      }
    }
}

}  // namespace gale::GALE_ISA
