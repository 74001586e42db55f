#pragma once
#include <cstdint>

#include "kernels/cpu/common/groups.h"
#include "kernels/cpu/common/math.h"
#include "kernels/cpu/kernels.h"

// Dots over pages of f32, f16 and bf16. Scores: a lane is a slot, one chain over the channels. Values: a lane is a channel, one
// chain over the slots of a span. How many chains run side by side (queries x vectors) touches no bit.
namespace gale::GALE_ISA {

constexpr int64_t kSpan = kSpanSlots;  // slots reduced together; spans lie at absolute positions and are merged in order
constexpr int64_t kSpanPages = kSpan / kPageSlots, kPageTiles = kPageSlots / 16;
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
  static constexpr int kRows = kPairRows, kVectors = kPairVectors;
  static bf16x32 get(const uint16_t* p) { return load_pairs(p); }
  static bf16x32 all(const PairWord* p) { return spread(p); }
  static f32x16 dot(f32x16 acc, bf16x32 lanes, bf16x32 all) { return dot_pairs(acc, lanes, all); }
  static void put_words(PairWord* to, f32x16 v) { store_words(to, v); }
  static f32x16 query(f32x16 v) { return in_bf16_range(v); }
  static f32x16 weight(f32x16 below) { return exp_weight(below); }
  static void put(uint16_t* to, f32x16 v) { store_bf16(to, query(v)); }
};

// What a kernel asks for while it works: the page that comes next, spread evenly over all the groups and vectors that read this
// one.
struct Ahead {
  const std::byte* from;
  int64_t pitch;  // bytes a step

  template <int N>
  void fetch(int64_t step) const {
    for (int i = 0; i < N; ++i) prefetch_far(from + step * pitch + 64 * i);
  }
};
// The share of `rows` of `count` queries and vectors [first, first + n) of a page of `steps` steps with so many bytes a vector.
inline Ahead share_of(const std::byte* page, int64_t row, int64_t rows, int64_t count, int64_t vectors, int64_t first, int64_t n,
                      int64_t steps, int64_t bytes) {
  return {page + (row * vectors + rows * first) * steps * bytes / count, n * bytes * rows / count};
}

// Scores of R queries with S tiles of 16 slots.
template <class Kv, int R, int S>
void score_lanes(const typename Kv::Element* k, int64_t tile, const typename Kv::Word* q, int64_t q_stride, int64_t steps,
                 float* scores, Ahead ahead) {
  f32x16 acc[R][S];
  for (int r = 0; r < R; ++r)
    for (int s = 0; s < S; ++s) acc[r][s] = zero();
  for (int64_t i = 0; i < steps; ++i) {
    decltype(Kv::get(k)) key[S];
    for (int s = 0; s < S; ++s) key[s] = Kv::get(k + s * tile + i * 16 * Kv::kStep);
    ahead.fetch<S>(i);
    for (int r = 0; r < R; ++r) {
      const auto word = Kv::all(q + r * q_stride + i);
      for (int s = 0; s < S; ++s) acc[r][s] = Kv::dot(acc[r][s], key[s], word);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int s = 0; s < S; ++s) store(scores + r * kSpan + 16 * s, acc[r][s]);
}

// out [R, C x 16] += weights x values over `steps` steps of slots.
template <class Kv, int R, int C>
void sum_lanes(const typename Kv::Element* v, int64_t stride, const typename Kv::Word* w, int64_t steps, float* out,
               int64_t out_stride, Ahead ahead) {
  f32x16 acc[R][C];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) acc[r][c] = load(out + r * out_stride + 16 * c);
  for (int64_t i = 0; i < steps; ++i) {
    decltype(Kv::get(v)) value[C];
    for (int c = 0; c < C; ++c) value[c] = Kv::get(v + i * stride + c * 16 * Kv::kStep);
    ahead.fetch<C>(i);
    for (int r = 0; r < R; ++r) {
      const auto word = Kv::all(w + r * (kSpan / Kv::kStep) + i);
      for (int c = 0; c < C; ++c) acc[r][c] = Kv::dot(acc[r][c], value[c], word);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) store(out + r * out_stride + 16 * c, acc[r][c]);
}

// The queries of a tile and their weights in the span at hand, as pages of Kv take them.
template <class Kv>
class LaneMath {
 public:
  LaneMath(const KvPages& pages, int64_t count)
      : count_(count),
        steps_((pages.k_width + Kv::kStep - 1) / Kv::kStep),
        query_words_((pages.k_width + 15) / 16 * 16 / Kv::kStep),
        channels_((pages.v_width + 15) / 16 * 16) {}

  void take_query(int64_t i, const float* q, int64_t width) {
    for (int64_t c = 0; c < width; c += 16)
      Kv::put_words(queries_ + i * query_words_ + c / Kv::kStep, Kv::query(load_first(q + c, width - c)));
  }

  // Raw scores of tiles [from, to) of a page go to scores [queries, kSpan].
  void score(const std::byte* page, int64_t from, int64_t to, float* scores, const std::byte* ahead) const {
    const int64_t tile = steps_ * 16 * Kv::kStep;
    in_groups<Kv::kRows>(count_, [&](int64_t q, auto rows) {
      const auto* k = reinterpret_cast<const Element*>(page);
      const auto run = [&](int64_t t, auto tiles) {
        score_lanes<Kv, rows.value, tiles.value>(
            k + t * tile, tile, queries_ + q * query_words_, query_words_, steps_, scores + q * kSpan + 16 * t,
            share_of(ahead, q, rows.value, count_, kPageTiles, t, tiles.value, steps_, kVectorBytes));
      };
      int64_t t = from;
      for (; t + Kv::kVectors <= to; t += Kv::kVectors) run(t, Int<Kv::kVectors>{});
      for (; t < to; ++t) run(t, Int<1>{});
    });
  }

  static f32x16 weight(f32x16 below) { return Kv::weight(below); }
  // Weights of query i in the 16 slots from `at` of the span on.
  void take_weights(int64_t i, int64_t at, f32x16 w, const std::byte* const*) {
    Kv::put_words(weights_ + (i * kSpan + at) / Kv::kStep, w);
  }
  void end_weights(int64_t, int64_t) {}

  // sums [queries, channels] += weights x values of slots [from, to) of page `index` of the span.
  void add_values(const std::byte* page, int64_t index, int64_t from, int64_t to, float* sums, const std::byte* ahead) const {
    const int64_t stride = channels_ * Kv::kStep, first = from / Kv::kStep, steps = (to + Kv::kStep - 1) / Kv::kStep - first;
    in_groups<Kv::kRows>(count_, [&](int64_t q, auto rows) {
      const auto* v = reinterpret_cast<const Element*>(page) + first * stride;
      const Word* w = weights_ + (q * kSpan + index * kPageSlots) / Kv::kStep + first;
      in_groups<Kv::kVectors>(channels_ / 16, [&](int64_t c, auto vectors) {
        const int64_t at = c * 16 * Kv::kStep;
        sum_lanes<Kv, rows.value, vectors.value>(
            v + at, stride, w, steps, sums + q * channels_ + 16 * c, channels_,
            share_of(ahead, q, rows.value, count_, channels_ / 16, c, vectors.value, steps, kVectorBytes));
      });
    });
  }

 private:
  using Element = typename Kv::Element;
  using Word = typename Kv::Word;
  static constexpr int64_t kVectorBytes = 16 * Kv::kStep * int64_t(sizeof(Element));
  int64_t count_, steps_, query_words_, channels_;
  alignas(64) Word queries_[kMaxTileFloats / Kv::kStep];
  alignas(64) Word weights_[kMaxTileQueries * kSpan / Kv::kStep];
};

}  // namespace gale::GALE_ISA
