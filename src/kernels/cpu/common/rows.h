#pragma once
#include <cstdint>

#include "kernels/cpu/common/math.h"
#include "kernels/cpu/kernels.h"

// Everything that works row by row or element by element. A row's bits depend on the row alone. pairs.h, or the one of a set with
// an instruction for bf16 dots, is included before.
namespace gale::GALE_ISA {

// Block inputs, `width` of them present at the end of a row: codes to nearest even, and the scale, largest / 127.
template <int Block>
inline float round_block(const float* x, int64_t width, int8_t* codes) {
  f32x16 largest = zero();
  for (int64_t i = 0; i < width; i += 16) largest = max(abs(load_first(x + i, width - i)), largest);
  const float top = reduce_max(largest);
  const f32x16 inverse = set1(top > 0 ? 127.0f / top : 0.0f);
  for (int i = 0; i < Block; i += 16)
    store_i8(codes + i, i < width ? to_int(mul(load_first(x + i, width - i), inverse)) : izero());
  return top / 127.0f;
}

inline void round_into(const float* x, int64_t width, RoundedBlock32& out) {
  out.scale = round_block<32>(x, width, out.codes);
  out.minus = -reduce_add(
      iadd(load_i8(reinterpret_cast<const uint8_t*>(out.codes)), load_i8(reinterpret_cast<const uint8_t*>(out.codes) + 16)));
}

inline void round_into(const float* x, int64_t width, RoundedBlock256& out) {
  out.scale = round_block<256>(x, width, out.codes);
  int32_t sums[16];
  store_lanes(sums, sums_of_16(out.codes));
  for (int i = 0; i < 8; ++i) out.sums32[i] = int16_t(sums[2 * i] + sums[2 * i + 1]);
  for (int i = 0; i < 16; ++i) out.sums16[i] = int16_t(sums[i]);
  for (int i = 0; i < 16; ++i) out.minus16[i] = -sums[i];
}

// kRoundedPiece inputs, `width` of them present at the end of a row, to bf16 words.
inline void round_to_words(const float* x, int64_t width, PairWord* to) {
  for (int64_t i = 0; i < kRoundedPiece; i += 16)
    store_words(to + i / 2, in_bf16_range(i < width ? load_first(x + i, width - i) : zero()));
}

// to[i] = x[order[i]] for the columns that are present, at most as many as fit.
template <int64_t N>
void gather_piece(const float* x, const int32_t* order, int64_t present, float (&to)[N]) {
  for (int64_t i = 0; i < present && i < N; ++i) to[i] = x[order[i]];
}

template <class Block>
void round_blocks(const float* x, int64_t width, const int32_t* order, Block* to) {
  constexpr int64_t kBlock = sizeof(Block::codes);
  for (int64_t first = 0; first < kRoundedPiece; first += kBlock, ++to) {
    const int64_t left = width - first, present = left < 0 ? 0 : left < kBlock ? left : kBlock;
    if (order == nullptr) {
      round_into(x + (present > 0 ? first : 0), present, *to);
      continue;
    }
    float gathered[kBlock];
    gather_piece(x, order + first, present, gathered);
    round_into(gathered, present, *to);
  }
}

void round_pieces(const float* x, const RoundedRows& out, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const int64_t r = i / out.pieces(), first = i % out.pieces() * kRoundedPiece, width = out.columns - first;
    const float* row = x + r * out.columns;
    const float* from = out.order ? row : row + first;  // an order counts from the row's start
    const int32_t* order = out.order ? out.order + first : nullptr;
    switch (out.rounding) {
      case Rounding::int8_per_32:
        round_blocks(from, width, order, out.row<RoundedBlock32>(r) + first / 32);
        break;
      case Rounding::int8_per_256:
        round_blocks(from, width, order, out.row<RoundedBlock256>(r) + first / 256);
        break;
      case Rounding::bf16: {
        PairWord* to = out.row<PairWord>(r) + first / 2;
        float gathered[kRoundedPiece];
        if (order != nullptr) gather_piece(from, order, width, gathered);
        round_to_words(order != nullptr ? gathered : from, width, to);
        break;
      }
      case Rounding::none:
        return;
    }
  }
}

void rms_norm(const float* x, const float* weight, float eps, float* y, int64_t width, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const float* in = x + r * width;
    float* out = y + r * width;
    f32x16 squares = zero();
    for (int64_t i = 0; i < width; i += 16) {
      const f32x16 v = load_first(in + i, width - i);
      squares = fma(v, v, squares);
    }
    const float mean = reduce_add(squares) / float(width);
    const f32x16 scale = set1(1.0f / __builtin_sqrtf(mean + eps));
    for (int64_t i = 0; i < width; i += 16) {
      const f32x16 v = mul(load_first(in + i, width - i), scale);
      store_first(out + i, mul(v, load_first(weight + i, width - i)), width - i);
    }
  }
}

void add_rows(const float* a, const float* b, float* y, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += 16)
    store_first(y + i, add(load_first(a + i, end - i), load_first(b + i, end - i)), end - i);
}

void add_bias(const float* x, const float* bias, float* y, int64_t width, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r)
    for (int64_t i = 0; i < width; i += 16) {
      const f32x16 sum = add(load_first(x + r * width + i, width - i), load_first(bias + i, width - i));
      store_first(y + r * width + i, sum, width - i);
    }
}

void silu_mul(const float* gate, const float* up, float* y, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += 16)
    store_first(y + i, mul(silu(load_first(gate + i, end - i)), load_first(up + i, end - i)), end - i);
}

// (a, b) -> (a cos - b sin, b cos + a sin), with one rounding less through fma.
inline void rotate_halves(float* x, const float* c, const float* s, int64_t half) {
  for (int64_t i = 0; i < half; i += 16) {
    const int64_t n = half - i;
    const f32x16 a = load_first(x + i, n), b = load_first(x + half + i, n);
    const f32x16 cosine = load_first(c + i, n), sine = load_first(s + i, n);
    store_first(x + i, fma(a, cosine, sub(zero(), mul(b, sine))), n);
    store_first(x + half + i, fma(b, cosine, mul(a, sine)), n);
  }
}

inline void rotate_pairs(float* x, const float* c, const float* s, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = __builtin_fmaf(a, c[i], -(b * s[i]));
    x[2 * i + 1] = __builtin_fmaf(b, c[i], a * s[i]);
  }
}

void rope(float* x, const float* cosines, const float* sines, RopeStyle style, int64_t heads, int64_t width, int64_t rotated,
          int64_t begin, int64_t end) {
  const int64_t half = rotated / 2;
  for (int64_t r = begin; r < end; ++r)
    for (int64_t h = 0; h < heads; ++h) {
      float* head = x + (r * heads + h) * width;
      const auto rotate = style == RopeStyle::halves ? rotate_halves : rotate_pairs;
      rotate(head, cosines + r * half, sines + r * half, half);
    }
}

}  // namespace gale::GALE_ISA
