#pragma once
#include <cstdint>

#include "kernels/cpu/common/attention_group.h"
#include "kernels/cpu/common/floats8.h"
#include "kernels/cpu/common/groups.h"
#include "kernels/cpu/common/math.h"

// Dots over pages of f32, f16, bf16 and fp8. Scores: a lane is a slot, one chain over the channels. Values: a lane is a channel,
// one chain over the slots of a span. How many chains run side by side (queries x vectors) touches no bit.
namespace gale::GALE_ISA {

constexpr float kNone = -__builtin_inff();
constexpr float kLowest = -3.402823466e38f;

// e^x for x <= 0 to 2e-7 relative, below 2^-40 (and for NaN) +0: what weights that are not exact need. 2^r on [-1/2, 1/2] is the
// minimax polynomial of degree 5 through 1 at 0.
inline f32x16 exp_weight(f32x16 x) {
  constexpr float kRounder = 12582912.0f;  // 1.5 x 2^23: adding it leaves the nearest integer in the low bits
  x = max(mul(x, set1(1.44269504f)), set1(-126.0f));
  const f32x16 shifted = add(x, set1(kRounder));
  const f32x16 r = sub(x, sub(shifted, set1(kRounder)));
  f32x16 p = set1(0.0013264726f);
  p = fma(p, r, set1(0.009671513f));
  p = fma(p, r, set1(0.055507336f));
  p = fma(p, r, set1(0.24022242f));
  p = fma(p, r, set1(0.693147f));
  p = fma(p, r, set1(1.0f));
  return select_less(x, set1(-40.0f), zero(), float_of(iadd(bits_of(p), ishl<23>(bits_of(shifted)))));
}

struct F32 {
  using Element = float;
  using Word = float;  // what every lane of a dot takes: of a query `kStep` channels, of the weights `kStep` slots
  static constexpr int64_t kStep = 1;
  static constexpr bool kScaled = false;
  static constexpr int kRows = kLaneRows, kVectors = kLaneVectors;
  static f32x16 get(const float* p) { return load(p); }
  static f32x16 all(const float* p) { return set1(*p); }
  static f32x16 dot(f32x16 acc, f32x16 lanes, f32x16 all) { return fma(lanes, all, acc); }
  static void put_words(float* to, f32x16 v) { store(to, v); }
  static f32x16 query(f32x16 v) { return v; }
  static f32x16 weight(f32x16 below) { return select_less(set1(kNone), below, exp(below), zero()); }
  static void put(float* to, f32x16 v) { store(to, finite(v, -kLowest)); }
};

struct F16 {
  using Element = uint16_t;
  using Word = float;
  static constexpr int64_t kStep = 1;
  static constexpr bool kScaled = false;
  static constexpr int kRows = kLaneRows, kVectors = kLaneVectors;
  static f32x16 get(const uint16_t* p) { return load_f16(p); }
  static f32x16 all(const float* p) { return set1(*p); }
  static f32x16 dot(f32x16 acc, f32x16 lanes, f32x16 all) { return fma(lanes, all, acc); }
  static void put_words(float* to, f32x16 v) { store(to, v); }
  static f32x16 query(f32x16 v) { return v; }
  static f32x16 weight(f32x16 below) { return exp_weight(below); }
  static void put(uint16_t* to, f32x16 v) { store_f16(to, finite(v, 65504.0f)); }
};

struct Bf16 {
  using Element = uint16_t;
  using Word = PairWord;
  static constexpr int64_t kStep = 2;
  static constexpr bool kScaled = false;
  static constexpr int kRows = kPairRows, kVectors = kPairVectors;
  static bf16x32 get(const uint16_t* p) { return load_pairs(p); }
  static bf16x32 all(const PairWord* p) { return spread(p); }
  static f32x16 dot(f32x16 acc, bf16x32 lanes, bf16x32 all) { return dot_pairs(acc, lanes, all); }
  static void put_words(PairWord* to, f32x16 v) { store_words(to, v); }
  static f32x16 query(f32x16 v) { return in_bf16_range(v); }
  static f32x16 weight(f32x16 below) { return exp_weight(below); }
  static void put(uint16_t* to, f32x16 v) { store_bf16(to, query(v)); }
};

// e4m3 under an f16 scale for each slot: that of a key meets its score, that of a value its weight.
struct Fp8 : Bf16 {
  using Element = uint8_t;
  static constexpr bool kScaled = true;
  static bf16x32 get(const uint8_t* p) {
    const i32x16 high = bits_of(load_bf16(reinterpret_cast<const uint16_t*>(p)));  // two bytes in the high half of each lane
    return join_pairs(floats8<4, 2>(high), floats8<4, 3>(high));
  }
};

// Where the scales of a page's slots are: behind its `steps` of elements for each slot.
template <class Kv>
const uint16_t* scales_of(const std::byte* page, int64_t slots, int64_t elements) {
  return reinterpret_cast<const uint16_t*>(page + slots * elements * int64_t(sizeof(typename Kv::Element)));
}

// Scores of R queries with S tiles of 16 slots; `scales` of their slots where the type has them.
template <class Kv, int R, int S>
void score_lanes(const typename Kv::Element* const (&k)[S], const uint16_t* const (&scales)[S], const typename Kv::Word* q,
                 int64_t q_stride, int64_t steps, float* scores, Ahead ahead) {
  f32x16 acc[R][S];
  for (int r = 0; r < R; ++r)
    for (int s = 0; s < S; ++s) acc[r][s] = zero();
  for (int64_t i = 0; i < steps; ++i) {
    decltype(Kv::get(k[0])) key[S];
    for (int s = 0; s < S; ++s) key[s] = Kv::get(k[s] + i * 16 * Kv::kStep);
    ahead.fetch<S>(i);
    for (int r = 0; r < R; ++r) {
      const auto word = Kv::all(q + r * q_stride + i);
      for (int s = 0; s < S; ++s) acc[r][s] = Kv::dot(acc[r][s], key[s], word);
    }
  }
  for (int s = 0; s < S; ++s)
    for (int r = 0; r < R; ++r) {
      if constexpr (Kv::kScaled) acc[r][s] = mul(acc[r][s], load_f16(scales[s]));
      store(scores + r * kSpan + 16 * s, acc[r][s]);
    }
}

// out [R, C x 16] += weights x values over steps [begin, end) of slots of a group, from element `at` of each step on.
template <class Kv, int R, int C>
void sum_lanes(const Group& group, int64_t at, int64_t stride, const typename Kv::Word* w, int64_t begin, int64_t end, float* out,
               int64_t out_stride, Ahead ahead) {
  const int64_t page_steps = group.page_slots() / Kv::kStep;
  f32x16 acc[R][C];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) acc[r][c] = load(out + r * out_stride + 16 * c);
  for (int64_t i = begin; i < end;) {
    const int64_t page = group.page_of_slot(i * Kv::kStep), stop = (page + 1) * page_steps < end ? (page + 1) * page_steps : end;
    const auto* v = reinterpret_cast<const typename Kv::Element*>(group.pages[page]) + (i - page * page_steps) * stride + at;
    for (; i < stop; ++i, v += stride) {
      decltype(Kv::get(v)) value[C];
      for (int c = 0; c < C; ++c) value[c] = Kv::get(v + c * 16 * Kv::kStep);
      ahead.fetch<C>(i - begin);
      for (int r = 0; r < R; ++r) {
        const auto word = Kv::all(w + r * (kSpan / Kv::kStep) + i);
        for (int c = 0; c < C; ++c) acc[r][c] = Kv::dot(acc[r][c], value[c], word);
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) store(out + r * out_stride + 16 * c, acc[r][c]);
}

// The queries of a tile, as keys of Kv take them.
template <class Kv>
class LaneKeys final : public Keys {
 public:
  LaneKeys(const KvPages& pages, int64_t count)
      : count_(count),
        width_(pages.k_width),
        steps_((width_ + Kv::kStep - 1) / Kv::kStep),
        query_words_((width_ + 15) / 16 * 16 / Kv::kStep) {}

  void take_query(int64_t i, const float* q) override {
    for (int64_t c = 0; c < width_; c += 16)
      Kv::put_words(queries_ + i * query_words_ + c / Kv::kStep, Kv::query(load_first(q + c, width_ - c)));
  }

  void score(const Group& group, int64_t from, int64_t to, float* scores, const Group& ahead) const override {
    const int64_t tile = steps_ * 16 * Kv::kStep;
    const Shares shares(ahead, count_ * kGroupTiles, steps_);
    in_groups<Kv::kRows>(count_, [&](int64_t q, auto rows) {
      const auto run = [&](int64_t t, auto tiles) {
        const Element* k[tiles.value];
        const uint16_t* scales[tiles.value] = {};
        for (int s = 0; s < tiles.value; ++s) {
          const std::byte* page = group.page_of_tile(t + s);
          const int64_t in_page = group.tile_in_page(t + s);
          k[s] = reinterpret_cast<const Element*>(page) + in_page * tile;
          if constexpr (Kv::kScaled) scales[s] = scales_of<Kv>(page, group.page_slots(), steps_ * Kv::kStep) + in_page * 16;
        }
        score_lanes<Kv, rows.value, tiles.value>(k, scales, queries_ + q * query_words_, query_words_, steps_,
                                                 scores + q * kSpan + 16 * t,
                                                 shares.of(q * kGroupTiles + rows.value * t, rows.value * tiles.value));
      };
      int64_t t = from;
      for (; t + Kv::kVectors <= to; t += Kv::kVectors) run(t, Int<Kv::kVectors>{});
      for (; t < to; ++t) run(t, Int<1>{});
    });
  }

 private:
  using Element = typename Kv::Element;
  int64_t count_, width_, steps_, query_words_;
  alignas(64) typename Kv::Word queries_[kMaxTileFloats / Kv::kStep];
};

// The weights of a tile's queries in the span at hand, as values of Kv take them.
template <class Kv>
class LaneValues {
 public:
  LaneValues(const KvPages& pages, int64_t count) : count_(count), channels_((pages.v_width + 15) / 16 * 16) {}

  static f32x16 weight(f32x16 below) { return Kv::weight(below); }
  // Group `index` of the span is this one: what weights need to know of it.
  void take_group(int64_t index, const Group& group) {
    if constexpr (Kv::kScaled)
      for (int64_t t = 0; t < kGroupTiles; ++t)
        store(scales_ + index * kGroupSlots + 16 * t,
              load_f16(scales_of<Kv>(group.page_of_tile(t), group.page_slots(), channels_) + group.tile_in_page(t) * 16));
  }
  // Weights of query i in the 16 slots from `at` of the span on.
  void take_weights(int64_t i, int64_t at, f32x16 w) {
    if constexpr (Kv::kScaled) w = mul(w, load(scales_ + at));
    Kv::put_words(weights_ + (i * kSpan + at) / Kv::kStep, w);
  }
  void end_weights(int64_t, int64_t) {}

  // sums [queries, channels] += weights x values of slots [from, to) of group `index` of the span.
  void add_values(const Group& group, int64_t index, int64_t from, int64_t to, float* sums, const Group& ahead) const {
    const int64_t begin = from / Kv::kStep, end = (to + Kv::kStep - 1) / Kv::kStep;
    const Shares shares(ahead, count_ * (channels_ / 16), end - begin);
    in_groups<Kv::kRows>(count_, [&](int64_t q, auto rows) {
      const Word* w = weights_ + (q * kSpan + index * kGroupSlots) / Kv::kStep;
      in_groups<Kv::kVectors>(channels_ / 16, [&](int64_t c, auto vectors) {
        sum_lanes<Kv, rows.value, vectors.value>(group, c * 16 * Kv::kStep, channels_ * Kv::kStep, w, begin, end,
                                                 sums + q * channels_ + 16 * c, channels_,
                                                 shares.of(q * (channels_ / 16) + rows.value * c, rows.value * vectors.value));
      });
    });
  }

 private:
  using Word = typename Kv::Word;
  int64_t count_, channels_;
  alignas(64) float scales_[Kv::kScaled ? kSpan : 16];
  alignas(64) Word weights_[kMaxTileQueries * kSpan / Kv::kStep];
};

}  // namespace gale::GALE_ISA
