#pragma once
#include <cstdint>

#include "kernels/cpu/common/attention_group.h"
#include "kernels/cpu/common/attention_lanes.h"
#include "kernels/cpu/common/groups.h"
#include "kernels/cpu/common/math.h"

// Dots over int8 pages and pages of 4 bits. Queries are rounded per 32 channels, like the keys: sums within 32 are exact. A
// value's scale is folded into its weight, and the weights of a group are rounded to 8 bits together: sums within 64 slots are
// exact.
namespace gale::GALE_ISA {

constexpr int64_t kScaledChannels = 32, kQuads = kScaledChannels / 4;  // that share a scale

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

// -8..7 in 4 bits.
alignas(16) inline constexpr uint8_t kNibbleKeys[16] = {120, 121, 122, 123, 124, 125, 126, 127,
                                                        128, 129, 130, 131, 132, 133, 134, 135};
alignas(16) inline constexpr uint8_t kNibbleValues[16] = {0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff, 0, 1, 2, 3, 4, 5, 6, 7};

// How keys and values of a type lie in vectors of bytes.
struct Bytes {
  static constexpr int kParts = 1;  // quads of channels that a vector of keys holds, kQuads / kParts apart
  static constexpr bool kValuesInBlocks = false;
  static int64_t quads(int64_t width) { return (width + 3) / 4; }  // that a tile of keys has
  // As dot_keys takes them: 128 more than they mean.
  template <int>
  static u8x64 key(u8x64 v) {
    return v;
  }
  // C x 16 channels of four slots.
  template <int C>
  static void values(const uint8_t* from, u8x64 (&to)[C]) {
    for (int c = 0; c < C; ++c) to[c] = load_bytes(from + 64 * c);
  }
};

struct Nibbles {
  static constexpr int kParts = 2;
  static constexpr bool kValuesInBlocks = true;
  static int64_t quads(int64_t width) { return (width + kScaledChannels - 1) / kScaledChannels * kQuads; }
  template <int Part>
  static u8x64 key(u8x64 v) {
    return look_up(repeat16(kNibbleKeys), Part == 0 ? low_nibbles(v) : high_nibbles(v));
  }
  template <int C>
  static void values(const uint8_t* from, u8x64 (&to)[C]) {
    const u8x64 both = load_bytes(from);
    to[0] = look_up(repeat16(kNibbleValues), low_nibbles(both));
    if constexpr (C == 2) to[1] = look_up(repeat16(kNibbleValues), high_nibbles(both));
  }
};

template <class Codes, int Part, int R, int S>
[[gnu::always_inline]] inline void dot_part(const u8x64 (&raw)[S], const int8_t* q, int64_t q_stride, i32x16 (&acc)[R][S]) {
  u8x64 key[S];
  for (int s = 0; s < S; ++s) key[s] = Codes::template key<Part>(raw[s]);
  for (int r = 0; r < R; ++r) {
    const i32x16 word = iset1(word_at(q + r * q_stride + Part * 4 * kQuads / Codes::kParts));
    for (int s = 0; s < S; ++s) acc[r][s] = dot_keys(acc[r][s], key[s], word);
  }
}

// Scores of R queries with S tiles: scale x scale x exact sums, block after block in one chain. Queries: codes [quads][4], scales
// and what sums start from [blocks].
template <class Codes, int R, int S>
void score_quads(const uint8_t* const (&k)[S], const uint16_t* const (&scales)[S], const int8_t* q, const float* q_scales,
                 const int32_t* q_starts, int64_t quads, float* scores, Ahead ahead) {
  const int64_t blocks = (quads + kQuads - 1) / kQuads;
  f32x16 sum[R][S];
  for (int r = 0; r < R; ++r)
    for (int s = 0; s < S; ++s) sum[r][s] = zero();
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t vectors = kQuads / Codes::kParts, first = b * vectors, all = quads / Codes::kParts;
    const int64_t end = first + vectors < all ? first + vectors : all;
    i32x16 acc[R][S];
    for (int r = 0; r < R; ++r)
      for (int s = 0; s < S; ++s) acc[r][s] = iset1(q_starts[r * blocks + b]);
    for (int64_t i = first; i < end; ++i) {
      u8x64 raw[S];
      for (int s = 0; s < S; ++s) raw[s] = load_bytes(k[s] + i * 64);
      ahead.fetch<S>(i);
      const int8_t* word = q + (b * kQuads + i - first) * 4;
      dot_part<Codes, 0>(raw, word, quads * 4, acc);
      if constexpr (Codes::kParts == 2) dot_part<Codes, 1>(raw, word, quads * 4, acc);
    }
    for (int s = 0; s < S; ++s) {
      const f32x16 scale = load_f16(scales[s] + b * 16);
      for (int r = 0; r < R; ++r) sum[r][s] = fma(to_float(acc[r][s]), mul(scale, set1(q_scales[r * blocks + b])), sum[r][s]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int s = 0; s < S; ++s) store(scores + r * kSpan + 16 * s, sum[r][s]);
}

// out [R, C x 16] += scale x exact sums of weights x values over quads [begin, end) of a group's slots, from byte `at` of each
// on.
template <class Codes, int R, int C>
void sum_quads(const Group& group, int64_t at, int64_t stride, const uint8_t* w, const float* w_scales, int64_t begin,
               int64_t end, float* out, int64_t out_stride, Ahead ahead) {
  const int64_t page_quads = group.page_slots() / 4;
  i32x16 acc[R][C];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) acc[r][c] = izero();
  for (int64_t i = begin; i < end;) {
    const int64_t page = group.page_of_slot(i * 4), stop = (page + 1) * page_quads < end ? (page + 1) * page_quads : end;
    const auto* v = reinterpret_cast<const uint8_t*>(group.pages[page]) + (i - page * page_quads) * stride + at;
    for (; i < stop; ++i, v += stride) {
      u8x64 value[C];
      Codes::values(v, value);
      ahead.fetch<C>(i - begin);
      for (int r = 0; r < R; ++r) {
        const i32x16 word = iset1(word_at(w + r * kSpan + 4 * i));
        for (int c = 0; c < C; ++c) acc[r][c] = dot_values(acc[r][c], value[c], word);
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) {
      float* to = out + r * out_stride + 16 * c;
      store(to, fma(to_float(acc[r][c]), set1(w_scales[r * kSpanGroups]), load(to)));
    }
}

template <class Codes>
class QuadKeys final : public Keys {
 public:
  QuadKeys(const KvPages& pages, int64_t count)
      : count_(count),
        width_(pages.k_width),
        quads_(Codes::quads(width_)),
        blocks_((width_ + kScaledChannels - 1) / kScaledChannels) {}

  void take_query(int64_t i, const float* q) override {
    __builtin_memset(queries_ + i * quads_ * 4, 0, size_t(quads_) * 4);
    for (int64_t b = 0; b < blocks_; ++b) {
      const int64_t left = width_ - b * kScaledChannels, n = left < kScaledChannels ? left : kScaledChannels;
      int8_t codes[kScaledChannels] = {};
      scales_[i * blocks_ + b] = round_block(q + b * kScaledChannels, n, kQueryLimit, codes, [](float scale) { return scale; });
      int32_t sum = 0;
      for (int64_t c = 0; c < n; ++c) sum += codes[c];
      starts_[i * blocks_ + b] = -kKeyBias * sum;
      __builtin_memcpy(queries_ + (i * quads_ + b * kQuads) * 4, codes, size_t(n + 3) / 4 * 4);
    }
  }

  void score(const Group& group, int64_t from, int64_t to, float* scores, const Group& ahead) const override {
    const int64_t tile = quads_ / Codes::kParts * 64;
    const Shares shares(ahead, count_ * kGroupTiles, quads_ / Codes::kParts);
    in_groups<kQuadRows>(count_, [&](int64_t q, auto rows) {
      const auto run = [&](int64_t t, auto tiles) {
        const uint8_t* k[tiles.value];
        const uint16_t* scales[tiles.value];
        for (int s = 0; s < tiles.value; ++s) {
          const auto* page = reinterpret_cast<const uint8_t*>(group.page_of_tile(t + s));
          const int64_t in_page = group.tile_in_page(t + s);
          k[s] = page + in_page * tile;
          scales[s] = reinterpret_cast<const uint16_t*>(page + group.page_slots() / 16 * tile) + in_page * blocks_ * 16;
        }
        score_quads<Codes, rows.value, tiles.value>(k, scales, queries_ + q * quads_ * 4, scales_ + q * blocks_,
                                                    starts_ + q * blocks_, quads_, scores + q * kSpan + 16 * t,
                                                    shares.of(q * kGroupTiles + rows.value * t, rows.value * tiles.value));
      };
      int64_t t = from;
      for (; t + kQuadVectors <= to; t += kQuadVectors) run(t, Int<kQuadVectors>{});
      for (; t < to; ++t) run(t, Int<1>{});
    });
  }

 private:
  static constexpr float kQueryLimit = 1e30f;
  static constexpr int64_t kBlocks = kMaxTileFloats / kScaledChannels + kMaxTileQueries;
  int64_t count_, width_, quads_, blocks_;
  alignas(64) int8_t queries_[kBlocks * kScaledChannels];
  float scales_[kBlocks];
  int32_t starts_[kBlocks];
};

// The weights of a tile's queries, rounded once for each block of channels that has scales of its own.
template <class Codes>
class QuadValues {
 public:
  QuadValues(const KvPages& pages, int64_t count)
      : count_(count),
        channels_((pages.v_width + 15) / 16 * 16),
        blocks_(Codes::kValuesInBlocks ? (channels_ + kScaledChannels - 1) / kScaledChannels : 1),
        stride_(Codes::kValuesInBlocks ? blocks_ * 64 : channels_ * 4) {}

  static f32x16 weight(f32x16 below) { return exp_weight(below); }
  void take_group(int64_t index, const Group& group) {
    const int64_t slots = group.page_slots();
    for (int64_t t = 0; t < kGroupTiles; ++t) {
      const auto* scales =
          reinterpret_cast<const uint16_t*>(group.page_of_tile(t) + slots / 4 * stride_) + group.tile_in_page(t) * 16;
      for (int64_t b = 0; b < blocks(); ++b)
        store(scales_ + b * kSpan + index * kGroupSlots + 16 * t, load_f16(scales + b * slots));
    }
  }
  void take_weights(int64_t, int64_t at, f32x16 w) {
    for (int64_t b = 0; b < blocks(); ++b)
      store(scaled_ + b * kGroupSlots + at % kGroupSlots, mul(w, load(scales_ + b * kSpan + at)));
  }
  // All weights of query i in group `index` are there: rounds them.
  void end_weights(int64_t i, int64_t index) {
    for (int64_t b = 0; b < blocks(); ++b) {
      const float* w = scaled_ + b * kGroupSlots;
      f32x16 tops = zero();
      for (int64_t at = 0; at < kGroupSlots; at += 16) tops = max(load(w + at), tops);
      const float top = reduce_max(tops);
      const f32x16 inverse = set1(top > 0 ? 255.0f / top : 0.0f);
      const int64_t row = b * count_ + i;
      weight_scales_[row * kSpanGroups + index] = top / 255.0f;
      for (int64_t at = 0; at < kGroupSlots; at += 16)
        store_u8(weights_ + row * kSpan + index * kGroupSlots + at, to_int(min(mul(load(w + at), inverse), set1(255.0f))));
    }
  }

  void add_values(const Group& group, int64_t index, int64_t from, int64_t to, float* sums, const Group& ahead) const {
    const int64_t begin = from / 4, end = (to + 3) / 4, vectors = channels_ / 16;
    const Shares shares(ahead, count_ * vectors, end - begin);
    const auto run = [&](int64_t b, int64_t q, auto rows, int64_t c, auto together) {
      const int64_t row = b * count_ + q;
      sum_quads<Codes, rows.value, together.value>(
          group, Codes::kValuesInBlocks ? b * 64 : c * 64, stride_, weights_ + row * kSpan + index * kGroupSlots,
          weight_scales_ + row * kSpanGroups + index, begin, end, sums + q * channels_ + 16 * c, channels_,
          shares.of(q * vectors + rows.value * c, rows.value * together.value));
    };
    in_groups<kRows>(count_, [&](int64_t q, auto rows) {
      if constexpr (Codes::kValuesInBlocks) {
        for (int64_t b = 0; b < blocks(); ++b)
          vectors - 2 * b >= 2 ? run(b, q, rows, 2 * b, Int<2>{}) : run(b, q, rows, 2 * b, Int<1>{});
      } else {
        in_groups<kLaneVectors>(vectors, [&](int64_t c, auto together) { run(0, q, rows, c, together); });
      }
    });
  }

 private:
  static constexpr int kRows = Codes::kValuesInBlocks && kLaneVectors < 2 ? kLaneRows / 2 : kLaneRows;
  static constexpr int64_t kBlocks = Codes::kValuesInBlocks ? kMaxHeadWidth / kScaledChannels : 1;
  static constexpr int64_t kRowsOfWeights =
      Codes::kValuesInBlocks ? kMaxTileFloats / kScaledChannels + kMaxTileQueries : kMaxTileQueries;
  int64_t blocks() const { return Codes::kValuesInBlocks ? blocks_ : 1; }

  int64_t count_, channels_, blocks_, stride_;
  alignas(64) float scales_[kBlocks * kSpan];
  alignas(64) float scaled_[kBlocks * kGroupSlots];  // weights x scales of the query and group at hand
  alignas(64) uint8_t weights_[kRowsOfWeights * kSpan];
  float weight_scales_[kRowsOfWeights * kSpanGroups];
};

}  // namespace gale::GALE_ISA
