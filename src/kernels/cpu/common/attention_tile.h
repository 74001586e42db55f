#pragma once
#include <cstdint>

#include "kernels/cpu/common/attention_lanes.h"
#include "kernels/cpu/common/math.h"
#include "kernels/cpu/kernels.h"

// The walk of a tile's queries over the spans they see. Within a span: scores, their maximum, weights, the sum by lane (slot mod
// 16) and a fixed tree, then the values; spans are merged in order. Slots and spans a query does not see have weight +0 and
// change nothing, not a bit, so a query may walk what another one of its tile sees: its bits depend on its own range alone.
namespace gale::GALE_ISA {

alignas(64) inline constexpr float kLaneIndex[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

template <class Values>
class Tile {
 public:
  Tile(const AttentionArgs& a, int64_t kv_head, AttentionTile tile, Keys& keys)
      : a_(a),
        keys_(keys),
        kv_head_(kv_head),
        partials_(tile.partials),
        first_(tile.begin),
        count_(tile.end - tile.begin),
        group_(a.heads / a.pages.heads),
        channels_((a.pages.v_width + 15) / 16 * 16),
        table_(a.seen.tables[tile.begin / group_]),
        values_(a.pages, count_) {
    for (int64_t i = 0; i < count_; ++i) {
      const int64_t row = row_of(i), own = a.seen.slots[row];
      begin_[i] = a.seen.begin[row];
      end_[i] = a.seen.end[row];
      if (a.window > 0 && begin_[i] < own + 1 - a.window) begin_[i] = own + 1 - a.window;
      if (begin_[i] < end_[i] && begin_[i] < low_) low_ = begin_[i];
      if (begin_[i] < end_[i] && end_[i] > high_) high_ = end_[i];
    }
    last_part_ = high_ <= int64_t(tile.end_span) * kSpan;
    if (low_ < tile.first_span * kSpan) low_ = tile.first_span * kSpan, first_part_ = false;
    if (!last_part_) high_ = int64_t(tile.end_span) * kSpan;
    for (int64_t i = 0; i < kPaddedQueries; ++i) top_[i] = kLowest, sum_[i] = 0;
    for (int64_t i = 0; i < count_ * channels_; i += 16) store(out_ + i, zero());
    const int shift = group_shift(a.pages.slots);
    for (int64_t g = 0; g < kSpanGroups; ++g) {
      k_[g].bytes = next_k_[g].bytes = a.pages.k_page;
      v_[g].bytes = a.pages.v_page;
      k_[g].shift = next_k_[g].shift = v_[g].shift = shift;
    }
  }

  // Walks the spans of this part.
  void run() {
    for (int64_t i = 0; i < count_; ++i) keys_.take_query(i, a_.q + (row_of(i) * a_.heads + head_of(i)) * a_.pages.k_width);
    for (int64_t span = low_ / kSpan * kSpan; span < high_; span += kSpan) {
      const int64_t from = low_ > span ? low_ - span : 0, to = high_ < span + kSpan ? high_ - span : kSpan;
      find_pages(span, from, to);
      score(from, to);
      for (int64_t i = 0; i < kPaddedQueries; ++i) span_top_[i] = kLowest, span_sum_[i] = 0;
      for (int64_t i = 0; i < count_; ++i) soften(i, span, from, to);
      add_values(from, to);
      if (partials_)
        keep_part(record(span / kSpan - a_.round_first), span_out_, span_top_, span_sum_);
      else
        merge();
    }
    if (partials_) return;
    for (int64_t i = 0; i < count_; ++i) finish(i);
  }

  // Merges what the parts of this round left.
  void collect() {
    float* before = record(a_.round_spans);
    if (!first_part_) take_part(before, out_, top_, sum_);
    for (int64_t span = low_ / kSpan * kSpan; span < high_; span += kSpan) {
      take_part(record(span / kSpan - a_.round_first), span_out_, span_top_, span_sum_);
      merge();
    }
    if (!last_part_) return keep_part(before, out_, top_, sum_);
    for (int64_t i = 0; i < count_; ++i) finish(i);
  }

 private:
  int64_t row_of(int64_t i) const { return (first_ + i) / group_; }
  int64_t head_of(int64_t i) const { return kv_head_ * group_ + (first_ + i) % group_; }

  float* record(int64_t span) const { return partials_ + (span * a_.pages.heads + kv_head_) * count_ * (channels_ + 2); }
  void keep_part(float* to, const float* out, const float* top, const float* sum) const {
    __builtin_memcpy(to, out, size_t(count_ * channels_) * sizeof(float));
    __builtin_memcpy(to + count_ * channels_, top, size_t(count_) * sizeof(float));
    __builtin_memcpy(to + count_ * (channels_ + 1), sum, size_t(count_) * sizeof(float));
  }
  void take_part(const float* from, float* out, float* top, float* sum) const {
    for (int64_t i = 0; i < kPaddedQueries; ++i) top[i] = kLowest, sum[i] = 0;
    __builtin_memcpy(out, from, size_t(count_ * channels_) * sizeof(float));
    __builtin_memcpy(top, from + count_ * channels_, size_t(count_) * sizeof(float));
    __builtin_memcpy(sum, from + count_ * (channels_ + 1), size_t(count_) * sizeof(float));
  }

  // The pages of a span; those of the next span's keys are asked for while this one's values are read.
  void find_pages(int64_t span, int64_t from, int64_t to) {
    const int64_t slots = a_.pages.slots, pages = kGroupSlots / slots, last_of_all = (high_ - 1) / slots;
    const int64_t first = (span + from) / slots, last = (span + to - 1) / slots;
    const auto address = [&](const std::byte* base, int64_t bytes, int64_t page) {
      return base + (table_[page] * a_.pages.heads + kv_head_) * bytes;
    };
    for (int64_t g = from / kGroupSlots; g * kGroupSlots < to; ++g)
      for (int64_t i = 0; i < pages; ++i) {
        const int64_t wanted = span / slots + g * pages + i, next = wanted + kSpan / slots;
        const int64_t page = wanted < first ? first : wanted < last ? wanted : last;
        k_[g].pages[i] = address(a_.pages.k, a_.pages.k_page, page);
        v_[g].pages[i] = address(a_.pages.v, a_.pages.v_page, page);
        next_k_[g].pages[i] = address(a_.pages.k, a_.pages.k_page, next < last_of_all ? next : last_of_all);
      }
    for (int64_t g = from / kGroupSlots; g * kGroupSlots < to; ++g) values_.take_group(g, v_[g]);
  }

  // Calls f(group, from, to) for each that [from, to) of the span touches, with what it touches of it.
  template <class F>
  static void each_group(int64_t from, int64_t to, const F& f) {
    for (int64_t g = from / kGroupSlots; g * kGroupSlots < to; ++g) {
      const int64_t start = g * kGroupSlots;
      f(g, from > start ? from - start : 0, to - start < kGroupSlots ? to - start : kGroupSlots);
    }
  }

  void score(int64_t from, int64_t to) {
    each_group(from, to, [&](int64_t g, int64_t a, int64_t b) {
      keys_.score(k_[g], a / 16, (b + 15) / 16, scores_ + g * kGroupSlots, v_[g]);
    });
  }

  void add_values(int64_t from, int64_t to) {
    for (int64_t i = 0; i < count_ * channels_; i += 16) store(span_out_ + i, zero());
    each_group(from, to, [&](int64_t g, int64_t a, int64_t b) { values_.add_values(v_[g], g, a, b, span_out_, next_k_[g]); });
  }

  // -inf where a query that sees slots [begin, end) of the span does not see.
  static f32x16 mask(f32x16 s, int64_t at, int64_t begin, int64_t end) {
    if (begin <= at && at + 16 <= end) return s;
    const f32x16 slot = add(load(kLaneIndex), set1(float(at)));
    return select_less(slot, set1(float(begin)), set1(kNone), select_less(slot, set1(float(end)), s, set1(kNone)));
  }

  // 16 raw scores from slot `at` of the span on -> scaled, capped and biased ones.
  f32x16 finish_scores(int64_t i, int64_t span, int64_t at) const {
    f32x16 s = mul(load(scores_ + i * kSpan + at), set1(a_.scale));
    if (a_.softcap > 0) s = mul(tanh(div(s, set1(a_.softcap))), set1(a_.softcap));
    return a_.bias ? add(s, bias(i, span + at)) : s;
  }

  f32x16 bias(int64_t i, int64_t slot) const {
    float lanes[16];
    for (int64_t j = 0; j < 16; ++j) {
      const int64_t at = slot + j - a_.seen.slots[row_of(i)] + a_.bias_center;
      lanes[j] = a_.bias[head_of(i) * a_.bias_length + (at < 0 ? 0 : at >= a_.bias_length ? a_.bias_length - 1 : at)];
    }
    return load(lanes);
  }

  // Finishes and masks the scores of query i in [begin, end) and returns their maximum. Where finishing is but a factor it is
  // left to the caller: a larger score stays larger.
  float find_top(int64_t i, int64_t span, int64_t begin, int64_t end, float factor) {
    float* scores = scores_ + i * kSpan;
    f32x16 top = set1(kLowest);
    for (int64_t at = begin / 16 * 16; at < end; at += 16) {
      const bool whole = begin <= at && at + 16 <= end;
      f32x16 s = load(scores + at);
      if (factor == 1) s = finish_scores(i, span, at);
      if (factor == 1 || !whole) store(scores + at, s = mask(s, at, begin, end));
      top = max(s, top);
    }
    const float highest = reduce_max(top) * factor;
    return highest > kLowest ? highest : kLowest;
  }

  // Scores of query i -> weights in all groups that [from, to) touches.
  void soften(int64_t i, int64_t span, int64_t from, int64_t to) {
    const int64_t begin = begin_[i] > span ? begin_[i] - span : 0, end = end_[i] < span + kSpan ? end_[i] - span : kSpan;
    const int64_t first = begin < end ? begin / 16 * 16 : to, last = begin < end ? end : from;
    const float factor = a_.softcap > 0 || a_.bias || a_.scale <= 0 ? 1.0f : a_.scale;
    const float top = begin < end ? find_top(i, span, begin, end, factor) : kLowest;
    const float* scores = scores_ + i * kSpan;
    f32x16 sum = zero();
    for (int64_t g = from / kGroupSlots; g * kGroupSlots < to; ++g) {
      for (int64_t at = g * kGroupSlots; at < (g + 1) * kGroupSlots; at += 16) {
        f32x16 w = zero();
        if (first <= at && at < last) w = Values::weight(sub(mul(load(scores + at), set1(factor)), set1(top)));
        values_.take_weights(i, at, w);
        sum = add(sum, w);
      }
      values_.end_weights(i, g);
    }
    span_top_[i] = top;
    span_sum_[i] = reduce_add(sum);
  }

  // The span joins what came before; whichever maximum is larger sets the scale. With nothing before the factors are 0 and 1, for
  // a query that saw nothing in the span 1 and anything.
  void merge() {
    for (int64_t i = 0; i < count_; i += 16) {
      const f32x16 top = max(load(top_ + i), load(span_top_ + i));
      const f32x16 keep = exp(sub(load(top_ + i), top)), gain = exp(sub(load(span_top_ + i), top));
      store(sum_ + i, fma(load(span_sum_ + i), gain, mul(load(sum_ + i), keep)));
      store(top_ + i, top);
      store(keep_ + i, keep);
      store(gain_ + i, gain);
    }
    for (int64_t i = 0; i < count_; ++i)
      for (int64_t c = i * channels_; c < (i + 1) * channels_; c += 16)
        store(out_ + c, fma(load(span_out_ + c), set1(gain_[i]), mul(load(out_ + c), set1(keep_[i]))));
  }

  static float exp1(float x) {
    float lanes[16];
    store(lanes, exp(set1(x)));
    return lanes[0];
  }

  // Divides by the sum; a sink joins it first. `+ 0` turns -0 into +0, so that the sign of nothing is always the same.
  void finish(int64_t i) {
    const int64_t width = a_.pages.v_width;
    const bool nothing = !(sum_[i] > 0);
    float scale = 1, sum = nothing ? 1.0f : sum_[i];
    if (a_.sinks && !nothing) {
      const float sink = a_.sinks[head_of(i)], top = sink > top_[i] ? sink : top_[i];
      scale = exp1(top_[i] - top);
      sum = sum * scale + exp1(sink - top);
    }
    float* to = a_.out + (row_of(i) * a_.heads + head_of(i)) * width;
    for (int64_t c = 0; c < width; c += 16)
      store_first(to + c, add(div(mul(load(out_ + i * channels_ + c), set1(scale)), set1(sum)), zero()), width - c);
  }

  static constexpr int64_t kPaddedQueries = (kMaxTileQueries + 15) / 16 * 16;
  const AttentionArgs& a_;
  Keys& keys_;
  int64_t kv_head_;
  float* partials_;
  int64_t first_, count_, group_, channels_;
  const int32_t* table_;
  int64_t low_ = INT64_MAX, high_ = 0;  // slots of this part that some query sees
  bool first_part_ = true, last_part_ = true;
  int64_t begin_[kMaxTileQueries], end_[kMaxTileQueries];
  Group k_[kSpanGroups], v_[kSpanGroups], next_k_[kSpanGroups];
  alignas(64) float top_[kPaddedQueries], sum_[kPaddedQueries], span_top_[kPaddedQueries], span_sum_[kPaddedQueries];
  float keep_[kPaddedQueries], gain_[kPaddedQueries];
  alignas(64) float scores_[kMaxTileQueries * kSpan];
  alignas(64) float out_[kMaxTileFloats], span_out_[kMaxTileFloats];
  Values values_;
};

}  // namespace gale::GALE_ISA
