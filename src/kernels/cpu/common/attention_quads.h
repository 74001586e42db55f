#pragma once
#include <cstdint>

#include "kernels/cpu/common/attention_lanes.h"
#include "kernels/cpu/common/groups.h"
#include "kernels/cpu/common/math.h"
#include "kernels/cpu/kernels.h"

// Dots over int8 pages. Queries are rounded per 32 channels, like the keys: sums within 32 are exact. A value's scale is folded
// into its weight, and the weights of a page are rounded to 8 bits together: sums within 64 slots are exact.
namespace gale::GALE_ISA {

constexpr int64_t kQuads = 8;  // of 4 channels, that share a scale

inline int32_t word_at(const void* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return word;
}

// Rounds n values to codes in -127..127 with one scale, which is returned; `codes` has room for a multiple of 16. `round_scale`
// says what the cache keeps of the scale.
template <class RoundScale>
float round_block(const float* x, int64_t n, float limit, int8_t* codes, RoundScale round_scale) {
  f32x16 top = zero();
  for (int64_t i = 0; i < n; i += 16) top = max(abs(finite(load_first(x + i, n - i), limit)), top);
  const float scale = round_scale(reduce_max(top) / 127.0f);
  const f32x16 inverse = set1(scale > 0 ? 1.0f / scale : 0.0f);
  for (int64_t i = 0; i < n; i += 16)
    store_i8(codes + i, to_int(finite(mul(finite(load_first(x + i, n - i), limit), inverse), 127.0f)));
  return scale;
}

// Scores of R queries with S tiles: scale x scale x exact sums, block after block in one chain.
template <int R, int S>
void score_quads(const uint8_t* k, int64_t tile, const uint16_t* scales, const int8_t* q, const float* q_scales,
                 const int32_t* q_starts, int64_t quads, float* scores, Ahead ahead) {
  const int64_t blocks = (quads + kQuads - 1) / kQuads;
  f32x16 sum[R][S];
  for (int r = 0; r < R; ++r)
    for (int s = 0; s < S; ++s) sum[r][s] = zero();
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t end = b * kQuads + kQuads < quads ? b * kQuads + kQuads : quads;
    i32x16 acc[R][S];
    for (int r = 0; r < R; ++r)
      for (int s = 0; s < S; ++s) acc[r][s] = iset1(q_starts[r * blocks + b]);
    for (int64_t i = b * kQuads; i < end; ++i) {
      u8x64 key[S];
      for (int s = 0; s < S; ++s) key[s] = load_bytes(k + s * tile + i * 64);
      ahead.fetch<S>(i);
      for (int r = 0; r < R; ++r) {
        const i32x16 word = iset1(word_at(q + (r * quads + i) * 4));
        for (int s = 0; s < S; ++s) acc[r][s] = dot_keys(acc[r][s], key[s], word);
      }
    }
    for (int s = 0; s < S; ++s) {
      const f32x16 scale = load_f16(scales + (s * blocks + b) * 16);
      for (int r = 0; r < R; ++r) sum[r][s] = fma(to_float(acc[r][s]), mul(scale, set1(q_scales[r * blocks + b])), sum[r][s]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int s = 0; s < S; ++s) store(scores + r * kSpan + 16 * s, sum[r][s]);
}

// out [R, C x 16] += scale x exact sums of weights x values over `steps` quads of slots of one page.
template <int R, int C>
void sum_quads(const uint8_t* v, int64_t stride, const uint8_t* w, const float* w_scales, int64_t steps, float* out,
               int64_t out_stride, Ahead ahead) {
  i32x16 acc[R][C];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) acc[r][c] = izero();
  for (int64_t i = 0; i < steps; ++i) {
    u8x64 value[C];
    for (int c = 0; c < C; ++c) value[c] = load_bytes(v + i * stride + c * 64);
    ahead.fetch<C>(i);
    for (int r = 0; r < R; ++r) {
      const i32x16 word = iset1(word_at(w + r * kSpan + 4 * i));
      for (int c = 0; c < C; ++c) acc[r][c] = dot_values(acc[r][c], value[c], word);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) {
      float* to = out + r * out_stride + 16 * c;
      store(to, fma(to_float(acc[r][c]), set1(w_scales[r * kSpanPages]), load(to)));
    }
}

// The queries of a tile and their weights in the span at hand, in bytes.
class QuadMath {
 public:
  QuadMath(const KvPages& pages, int64_t count)
      : count_(count),
        quads_((pages.k_width + 3) / 4),
        blocks_((pages.k_width + 31) / 32),
        channels_((pages.v_width + 15) / 16 * 16) {}

  void take_query(int64_t i, const float* q, int64_t width) {
    for (int64_t b = 0; b < blocks_; ++b) {
      const int64_t n = width - b * 32 < 32 ? width - b * 32 : 32, quads = (n + 3) / 4;
      int8_t codes[32] = {};
      scales_[i * blocks_ + b] = round_block(q + b * 32, n, kQueryLimit, codes, [](float scale) { return scale; });
      int32_t sum = 0;
      for (int64_t c = 0; c < n; ++c) sum += codes[c];
      starts_[i * blocks_ + b] = -kKeyBias * sum;
      __builtin_memcpy(queries_ + (i * quads_ + b * kQuads) * 4, codes, size_t(quads) * 4);
    }
  }

  void score(const std::byte* page, int64_t from, int64_t to, float* scores, const std::byte* ahead) const {
    const auto* k = reinterpret_cast<const uint8_t*>(page);
    const auto* scales = reinterpret_cast<const uint16_t*>(k + kPageSlots * 4 * quads_);
    const int64_t tile = quads_ * 64;
    in_groups<kQuadRows>(count_, [&](int64_t q, auto rows) {
      const auto run = [&](int64_t t, auto tiles) {
        score_quads<rows.value, tiles.value>(k + t * tile, tile, scales + t * blocks_ * 16, queries_ + q * quads_ * 4,
                                             scales_ + q * blocks_, starts_ + q * blocks_, quads_, scores + q * kSpan + 16 * t,
                                             share_of(ahead, q, rows.value, count_, kPageTiles, t, tiles.value, quads_, 64));
      };
      int64_t t = from;
      for (; t + kQuadVectors <= to; t += kQuadVectors) run(t, Int<kQuadVectors>{});
      for (; t < to; ++t) run(t, Int<1>{});
    });
  }

  static f32x16 weight(f32x16 below) { return exp_weight(below); }
  void take_weights(int64_t, int64_t at, f32x16 w, const std::byte* const* v_pages) {
    const auto* codes = reinterpret_cast<const uint8_t*>(v_pages[at / kPageSlots]);
    const auto* scales = reinterpret_cast<const uint16_t*>(codes + kPageSlots * channels_);
    store(scaled_ + at, mul(w, load_f16(scales + at % kPageSlots)));
  }
  // All weights of query i in page `index` are there: rounds them.
  void end_weights(int64_t i, int64_t index) {
    const float* w = scaled_ + index * kPageSlots;
    f32x16 tops = zero();
    for (int64_t at = 0; at < kPageSlots; at += 16) tops = max(load(w + at), tops);
    const float top = reduce_max(tops);
    const f32x16 inverse = set1(top > 0 ? 255.0f / top : 0.0f);
    weight_scales_[i * kSpanPages + index] = top / 255.0f;
    for (int64_t at = 0; at < kPageSlots; at += 16)
      store_u8(weights_ + i * kSpan + index * kPageSlots + at, to_int(min(mul(load(w + at), inverse), set1(255.0f))));
  }

  void add_values(const std::byte* page, int64_t index, int64_t from, int64_t to, float* sums, const std::byte* ahead) const {
    const int64_t stride = channels_ * 4, first = from / 4, steps = (to + 3) / 4 - first;
    in_groups<kLaneRows>(count_, [&](int64_t q, auto rows) {
      const auto* v = reinterpret_cast<const uint8_t*>(page) + first * stride;
      const uint8_t* w = weights_ + q * kSpan + index * kPageSlots + first * 4;
      in_groups<kLaneVectors>(channels_ / 16, [&](int64_t c, auto vectors) {
        sum_quads<rows.value, vectors.value>(v + 64 * c, stride, w, weight_scales_ + q * kSpanPages + index, steps,
                                             sums + q * channels_ + 16 * c, channels_,
                                             share_of(ahead, q, rows.value, count_, channels_ / 16, c, vectors.value, steps, 64));
      });
    });
  }

 private:
  static constexpr float kQueryLimit = 1e30f;
  int64_t count_, quads_, blocks_, channels_;
  alignas(64) int8_t queries_[kMaxTileFloats];
  float scales_[kMaxTileFloats / 32 + kMaxTileQueries];
  int32_t starts_[kMaxTileFloats / 32 + kMaxTileQueries];
  alignas(64) float scaled_[kSpan];  // weights x scales of the query at hand
  alignas(64) uint8_t weights_[kMaxTileQueries * kSpan];
  float weight_scales_[kMaxTileQueries * kSpanPages];
};

}  // namespace gale::GALE_ISA
