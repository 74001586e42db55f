#pragma once
#include "kernels/cpu/common/tile.h"
#include "kernels/cpu/common/unpack.h"

// The integer sums inside a block, for sets that dot four bytes in one step or have nothing better. Exact, so every set's own way
// gives the same. Always inlined: sums handed to a call would live in memory.
namespace gale::GALE_ISA {

// What a sum of byte x input starts from, so that it ends as one of (byte - half the range) x input. dot4 sees 8-bit codes less
// 128 where the set has only signed bytes.
template <int Bits>
inline i32x16 bias_of(int32_t minus_inputs) {
  if constexpr (Bits == 8 && kSigned8) return izero();
  return ishl<Bits - 1>(iset1(minus_inputs));
}

// sum[n] += Columns columns of the panel x those at x[n].
template <int Columns, class Codes, int N>
[[gnu::always_inline]] inline void dot_columns(const Codes& how, const uint8_t* codes, const int8_t* const (&x)[N], int64_t ahead,
                                               i32x16 (&sum)[N]) {
  for (int i = 0; i < Columns; i += Codes::kColumns, codes += Codes::kBytes) {
    u8x64 w[4];
    prefetch_weights(codes + ahead, Codes::kBytes);
    how.template columns16<0>(codes, w);
    dot16<Codes::kBits, N>(sum, w, x, i);
    if constexpr (Codes::kColumns == 32) {
      how.template columns16<1>(codes, w);
      dot16<Codes::kBits, N>(sum, w, x, i + 16);
    }
  }
}

// sum[n] = 32 columns of (byte - half the range) x those of the block x[n].
template <class Codes, int N>
[[gnu::always_inline]] inline void dot_group(const Codes& how, const uint8_t* codes, const RoundedBlock32* const (&x)[N],
                                             int64_t ahead, i32x16 (&sum)[N]) {
  const int8_t* inputs[N];
  for (int n = 0; n < N; ++n) {
    inputs[n] = x[n]->codes;
    sum[n] = bias_of<Codes::kBits>(x[n]->minus);
  }
  dot_columns<32>(how, codes, inputs, ahead, sum);
}

// total[n] += sub-scale x (byte - half the range, or 0 with minimums) x input, over 32 columns from `column` of the block x[n];
// subs [32 / Group][16]: one byte a group and output.
template <int Group, bool Minimum, class Codes, int N>
[[gnu::always_inline]] inline void dot_scaled(const Codes& how, const uint8_t* codes, const uint8_t* subs,
                                              const RoundedBlock256* const (&x)[N], int column, int64_t ahead,
                                              i32x16 (&total)[N]) {
  for (int i = 0; i < 32; i += Group) {
    i32x16 sum[N];
    const int8_t* inputs[N];
    for (int n = 0; n < N; ++n) {
      inputs[n] = x[n]->codes + column + i;
      sum[n] = Minimum ? izero() : bias_of<Codes::kBits>(x[n]->minus16[(column + i) / 16]);
    }
    dot_columns<Group>(how, codes + i / Codes::kColumns * Codes::kBytes, inputs, ahead, sum);
    const i32x16 scale = Minimum ? load_u8(subs + i / Group * 16) : load_i8(subs + i / Group * 16);
    for (int n = 0; n < N; ++n) total[n] = iadd(total[n], imul(scale, sum[n]));
  }
}

}  // namespace gale::GALE_ISA
