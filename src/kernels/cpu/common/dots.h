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

// sum[n] += 16 columns of the panel x those at x[n] + Column; codes are those of 32 columns, of which the 16 begin at Column.
template <int Column, class Codes, int N>
[[gnu::always_inline]] inline void dot_columns(const Codes& how, const uint8_t* codes, const int8_t* const (&x)[N], int64_t ahead,
                                               i32x16 (&sum)[N]) {
  constexpr int kPart = Column % Codes::kColumns / 16;
  const uint8_t* p = codes + Column / Codes::kColumns * Codes::kBytes;
  u8x64 w[4];
  if constexpr (kPart == 0) prefetch_bytes(p + ahead, Codes::kBytes);
  how.template columns16<kPart>(p, w);
  dot16<Codes::kBits, N>(sum, w, x, Column);
}

// sum[n] = 32 columns of (byte - half the range, or 0 with minimums) x those of the block x[n].
template <bool Minimum, class Codes, int N>
[[gnu::always_inline]] inline void dot_group(const Codes& how, const uint8_t* codes, const RoundedBlock32* const (&x)[N],
                                             int64_t ahead, i32x16 (&sum)[N]) {
  const int8_t* inputs[N];
  for (int n = 0; n < N; ++n) {
    inputs[n] = x[n]->codes;
    sum[n] = Minimum ? izero() : bias_of<Codes::kBits>(x[n]->minus);
  }
  dot_columns<0>(how, codes, inputs, ahead, sum);
  dot_columns<16>(how, codes, inputs, ahead, sum);
}

// total[n] += the sub-scales at `sub` x (byte - half the range, or 0 with minimums) x input: Group columns from Column of the 32.
template <int Column, int Group, bool Minimum, class Codes, int N>
[[gnu::always_inline]] inline void dot_one(const Codes& how, const uint8_t* codes, const uint8_t* sub,
                                           const int8_t* const (&inputs)[N], const int32_t* const (&minus)[N], int64_t ahead,
                                           i32x16 (&total)[N]) {
  i32x16 sum[N];
  for (int n = 0; n < N; ++n) {
    int32_t owed = minus[n][Column / 16];
    if constexpr (Group == 32) owed += minus[n][Column / 16 + 1];
    sum[n] = Minimum ? izero() : bias_of<Codes::kBits>(owed);
  }
  dot_columns<Column>(how, codes, inputs, ahead, sum);
  if constexpr (Group == 32) dot_columns<Column + 16>(how, codes, inputs, ahead, sum);
  const i32x16 scale = Minimum ? load_u8(sub) : load_i8(sub);
  for (int n = 0; n < N; ++n) total[n] = iadd(total[n], imul(scale, sum[n]));
}

// total[n] += sub-scale x (byte - half the range, or 0 with minimums) x input, over 32 columns from `column` of the block x[n];
// subs [32 / Group][16]: one byte a group and output.
template <int Group, bool Minimum, class Codes, int N>
[[gnu::always_inline]] inline void dot_scaled(const Codes& how, const uint8_t* codes, const uint8_t* subs,
                                              const RoundedBlock256* const (&x)[N], int column, int64_t ahead,
                                              i32x16 (&total)[N]) {
  const int8_t* inputs[N];
  const int32_t* minus[N];
  for (int n = 0; n < N; ++n) {
    inputs[n] = x[n]->codes + column;
    minus[n] = x[n]->minus16 + column / 16;
  }
  dot_one<0, Group, Minimum>(how, codes, subs, inputs, minus, ahead, total);
  if constexpr (Group == 16) dot_one<16, Group, Minimum>(how, codes, subs + 16, inputs, minus, ahead, total);
}

}  // namespace gale::GALE_ISA
