#pragma once
#include <cstdint>

#include "kernels/cpu/common/math.h"
#include "kernels/cpu/kernels.h"

// Attention of one row and one kv head at a time, over spans of 256 slots that lie at absolute positions and are merged in order.
// A row walks only the slots it sees, so its bits depend on its own range and nothing else: not on the batch, not on the chunk it
// came in. Within a span: scores, their maximum, exp, the sum by lane (slot mod 16) and a fixed tree, then one fma chain per
// channel.
namespace gale::GALE_ISA {

constexpr int64_t kSpan = 256;
constexpr int64_t kMaxGroup = 8;  // query heads taken together, sharing the loads of K
constexpr float kNone = -__builtin_inff();

template <class T>
struct Cache;
template <>
struct Cache<float> {
  static f32x16 at(const float* p) { return load(p); }
  static f32x16 first(const float* p, int64_t n) { return load_first(p, n); }
  static void put(float* p, f32x16 v, int64_t n) { store_first(p, v, n); }
};

// Saturates, so that no infinity or NaN ever enters the cache (0 x NaN would spread to rows that do not see it).
inline f32x16 finite(f32x16 v, float limit) { return max(min(v, set1(limit)), set1(-limit)); }

struct F16 {
  uint16_t bits;
};
struct Bf16 {
  uint16_t bits;
};
template <>
struct Cache<F16> {
  static const uint16_t* raw(const F16* p) { return reinterpret_cast<const uint16_t*>(p); }
  static f32x16 at(const F16* p) { return load_f16(raw(p)); }
  static f32x16 first(const F16* p, int64_t n) { return n >= 16 ? at(p) : load_half_first(raw(p), n, load_f16); }
  static void put(F16* p, f32x16 v, int64_t n) {
    uint16_t out[16];
    store_f16(out, finite(v, 65504.0f));
    __builtin_memcpy(p, out, size_t(n < 16 ? n : 16) * 2);
  }
};
template <>
struct Cache<Bf16> {
  static const uint16_t* raw(const Bf16* p) { return reinterpret_cast<const uint16_t*>(p); }
  static f32x16 at(const Bf16* p) { return load_bf16(raw(p)); }
  static f32x16 first(const Bf16* p, int64_t n) { return n >= 16 ? at(p) : load_half_first(raw(p), n, load_bf16); }
  static void put(Bf16* p, f32x16 v, int64_t n) {
    uint16_t out[16];
    store_bf16(out, finite(v, 3.3895314e38f));
    __builtin_memcpy(p, out, size_t(n < 16 ? n : 16) * 2);
  }
};

template <class T>
T* cache_row(std::byte* base, const KvPages& p, const int32_t* table, int64_t slot, int64_t head, int64_t width) {
  const int64_t block = table[slot / p.block_tokens];
  return reinterpret_cast<T*>(base) + ((block * p.heads + head) * p.block_tokens + slot % p.block_tokens) * width;
}

template <class T>
void store_kv_as(const float* k, const float* v, const KvPages& p, const KvRows& rows, int64_t begin, int64_t end) {
  const auto copy = [](const float* from, T* to, int64_t width) {
    for (int64_t i = 0; i < width; i += 16) Cache<T>::put(to + i, load_first(from + i, width - i), width - i);
  };
  for (int64_t r = begin; r < end; ++r)
    for (int64_t h = 0; h < p.heads; ++h) {
      copy(k + (r * p.heads + h) * p.k_width, cache_row<T>(p.k, p, rows.tables[r], rows.slots[r], h, p.k_width), p.k_width);
      copy(v + (r * p.heads + h) * p.v_width, cache_row<T>(p.v, p, rows.tables[r], rows.slots[r], h, p.v_width), p.v_width);
    }
}

// One row, `group` query heads of one kv head.
template <class T>
struct RowAttention {
  const AttentionArgs& a;
  int64_t row, kv_head, first_head, group;
  float scores[kMaxGroup][kSpan];
  float span_max[kMaxGroup], span_sum[kMaxGroup];

  const T* k_row(int64_t slot) const {
    return cache_row<T>(a.pages.k, a.pages, a.seen.tables[row], slot, kv_head, a.pages.k_width);
  }
  const T* v_row(int64_t slot) const {
    return cache_row<T>(a.pages.v, a.pages, a.seen.tables[row], slot, kv_head, a.pages.v_width);
  }

  float finish_score(float dot, int64_t head, int64_t slot) const {
    float s = dot * a.scale;
    if (a.softcap > 0) {
      float lane[16];
      store(lane, tanh(set1(s / a.softcap)));
      s = lane[0] * a.softcap;
    }
    if (a.bias) {
      int64_t i = slot - a.seen.slots[row] + a.bias_center;
      i = i < 0 ? 0 : i >= a.bias_length ? a.bias_length - 1 : i;
      s += a.bias[head * a.bias_length + i];
    }
    return s;
  }

  void score(int64_t span, int64_t begin, int64_t end) {
    const int64_t width = a.pages.k_width;
    const float* q = a.q + (row * a.heads + first_head) * width;
    for (int64_t g = 0; g < group; ++g)
      for (int64_t i = 0; i < kSpan; i += 16) store(scores[g] + i, set1(kNone));
    for (int64_t slot = begin; slot < end; ++slot) {
      const T* k = k_row(slot);
      f32x16 acc[kMaxGroup];
      for (int64_t g = 0; g < group; ++g) acc[g] = zero();
      for (int64_t i = 0; i < width; i += 16) {
        const f32x16 key = Cache<T>::first(k + i, width - i);
        for (int64_t g = 0; g < group; ++g) acc[g] = fma(load_first(q + g * width + i, width - i), key, acc[g]);
      }
      for (int64_t g = 0; g < group; ++g) scores[g][slot - span] = finish_score(reduce_add(acc[g]), first_head + g, slot);
    }
  }

  // scores -> weights; slots not seen get exactly +0 by select.
  void soften() {
    for (int64_t g = 0; g < group; ++g) {
      f32x16 top = set1(kNone), sum = zero();
      for (int64_t i = 0; i < kSpan; i += 16) top = max(load(scores[g] + i), top);
      span_max[g] = reduce_max(top);
      for (int64_t i = 0; i < kSpan; i += 16) {
        const f32x16 s = load(scores[g] + i);
        const f32x16 w = select_less(set1(kNone), s, exp(sub(s, set1(span_max[g]))), zero());
        store(scores[g] + i, w);
        sum = add(sum, w);
      }
      span_sum[g] = reduce_add(sum);
    }
  }

  // Channels [c, c + 16 C) of one head: one chain a channel over the slots in order.
  template <int C>
  void channels(int64_t g, int64_t span, int64_t begin, int64_t end, int64_t c, float* out) const {
    f32x16 acc[C];
    for (int j = 0; j < C; ++j) acc[j] = zero();
    for (int64_t slot = begin; slot < end; ++slot) {
      const T* v = v_row(slot) + c;
      const f32x16 w = set1(scores[g][slot - span]);
      for (int j = 0; j < C; ++j) acc[j] = fma(w, Cache<T>::at(v + 16 * j), acc[j]);
    }
    for (int j = 0; j < C; ++j) store(out + c + 16 * j, acc[j]);
  }

  void weigh(int64_t g, int64_t span, int64_t begin, int64_t end, float* out) const {
    const int64_t width = a.pages.v_width;
    int64_t c = 0;
    for (; c + 64 <= width; c += 64) channels<4>(g, span, begin, end, c, out);
    for (; c + 16 <= width; c += 16) channels<1>(g, span, begin, end, c, out);
    if (c == width) return;
    f32x16 acc = zero();
    for (int64_t slot = begin; slot < end; ++slot)
      acc = fma(set1(scores[g][slot - span]), Cache<T>::first(v_row(slot) + c, width - c), acc);
    store_first(out + c, acc, width - c);
  }

  static float exp1(float x) {
    float lane[16];
    store(lane, exp(set1(x)));
    return lane[0];
  }

  // out (sum `l`, maximum `m`) gains a span's result; whichever maximum is larger sets the scale.
  static void merge(float& m, float& l, float* out, float m2, float l2, const float* out2, int64_t width) {
    const float top = m2 > m ? m2 : m;
    const float a = exp1(m - top), b = exp1(m2 - top);
    for (int64_t i = 0; i < width; i += 16) {
      const int64_t n = width - i;
      store_first(out + i, fma(load_first(out2 + i, n), set1(b), mul(load_first(out + i, n), set1(a))), n);
    }
    l = __builtin_fmaf(l2, b, l * a);
    m = top;
  }

  void run(int64_t begin, int64_t end) {
    const int64_t width = a.pages.v_width;
    float m[kMaxGroup], l[kMaxGroup];
    float* out = a.out + (row * a.heads + first_head) * width;
    float part[kMaxWidth];
    bool first = true;
    for (int64_t span = begin / kSpan * kSpan; span < end; span += kSpan) {
      const int64_t from = span > begin ? span : begin, to = span + kSpan < end ? span + kSpan : end;
      score(span, from, to);
      soften();
      for (int64_t g = 0; g < group; ++g) {
        weigh(g, span, from, to, first ? out + g * width : part);
        if (first) {
          m[g] = span_max[g];
          l[g] = span_sum[g];
        } else {
          merge(m[g], l[g], out + g * width, span_max[g], span_sum[g], part, width);
        }
      }
      first = false;
    }
    for (int64_t g = 0; g < group; ++g) finish(out + g * width, first, m[g], l[g], first_head + g);
  }

  static constexpr int64_t kMaxWidth = 1024;

  // Divides by the sum; a sink joins it first. `+ 0` turns -0 into +0, so that the sign of nothing is always the same.
  void finish(float* out, bool nothing, float m, float l, int64_t head) const {
    const int64_t width = a.pages.v_width;
    float scale = 1;
    if (a.sinks && !nothing) {
      const float top = a.sinks[head] > m ? a.sinks[head] : m;
      scale = exp1(m - top);
      l = l * scale + exp1(a.sinks[head] - top);
    }
    for (int64_t i = 0; i < width; i += 16) {
      const int64_t n = width - i;
      const f32x16 v = nothing ? zero() : div(mul(load_first(out + i, n), set1(scale)), set1(l));
      store_first(out + i, add(v, zero()), n);
    }
  }
};

template <class T>
void attention_as(const AttentionArgs& a, int64_t item) {
  const int64_t row = item / a.pages.heads, kv_head = item % a.pages.heads, all = a.heads / a.pages.heads;
  int64_t begin = a.seen.begin[row];
  const int64_t end = a.seen.end[row];
  if (a.window > 0 && begin < int64_t(a.seen.slots[row]) + 1 - a.window) begin = int64_t(a.seen.slots[row]) + 1 - a.window;
  for (int64_t g = 0; g < all; g += kMaxGroup) {
    RowAttention<T> work{a, row, kv_head, kv_head * all + g, all - g < kMaxGroup ? all - g : kMaxGroup, {}, {}, {}};
    work.run(begin, end);
  }
}

void attention(const AttentionArgs& a, int64_t begin, int64_t end) {
  for (int64_t item = begin; item < end; ++item) switch (a.pages.type) {
      case KvType::f32:
        attention_as<float>(a, item);
        break;
      case KvType::f16:
        attention_as<F16>(a, item);
        break;
      case KvType::bf16:
        attention_as<Bf16>(a, item);
        break;
    }
}

void store_kv(const float* k, const float* v, const KvPages& pages, const KvRows& rows, int64_t begin, int64_t end) {
  switch (pages.type) {
    case KvType::f32:
      store_kv_as<float>(k, v, pages, rows, begin, end);
      break;
    case KvType::f16:
      store_kv_as<F16>(k, v, pages, rows, begin, end);
      break;
    case KvType::bf16:
      store_kv_as<Bf16>(k, v, pages, rows, begin, end);
      break;
  }
}

}  // namespace gale::GALE_ISA
