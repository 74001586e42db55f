#pragma once
#include "kernels/scale_search.h"

// Searches for scales, a group a lane: see kernels/scale_search.h. From the codes that a candidate gives, least squares finds the
// best scale and minimum for those codes and their error, which is the next, better candidate.
namespace gale::GALE_ISA {

// The largest integer that is not above x, for |x| < 2^22.
inline f32x16 floor_of(f32x16 x) {
  const f32x16 near = nearest(x);
  return select_less(x, near, sub(near, set1(1.0f)), near);
}

// 1 / scale; 0 for a scale so small that the quotient of a weight by it would overflow: such a scale is no scale.
inline f32x16 inverse_of(f32x16 scale) { return select_less(set1(1e-30f), abs(scale), div(set1(1.0f), scale), zero()); }

struct SearchSums {
  f32x16 w, wx, wxx;
  explicit SearchSums(const CodeGroups& g) : w(load(g.sum_w)), wx(load(g.sum_wx)), wxx(load(g.sum_wxx)) {}
};

struct Candidate {
  f32x16 scale, low;
  f32x16 q, qq, qx;  // weighted sums of its codes, their squares and their products with the values
};

// Codes next to a place: of all whole numbers, or of a table, where halfway between two the lower one counts.
struct AnyCode {
  f32x16 first, last;
  explicit AnyCode(const CodeGroups& g) : first(set1(g.first)), last(set1(g.last)) {}
  f32x16 operator()(f32x16 place) const { return nearest(min(max(place, first), last)); }
};
struct TableCode {
  float between[15], value[16];
  explicit TableCode(const CodeGroups& g) {
    for (int i = 0; i < 16; ++i) value[i] = g.table[i];
    for (int i = 0; i < 15; ++i) between[i] = 0.5f * (value[i] + value[i + 1]);
  }
  f32x16 operator()(f32x16 place) const {
    f32x16 out = set1(value[0]);
    for (int i = 0; i < 15; ++i) out = select_less(set1(between[i]), place, set1(value[i + 1]), out);
    return out;
  }
};

// The sums of N candidates; those without a low have low 0, and are spared the addition.
template <int N, bool Low, class Code>
inline void sum_codes(const CodeGroups& g, Candidate* c) {
  f32x16 inverse[N], shift[N], q[N], qq[N], qx[N];
  for (int j = 0; j < N; ++j) {
    inverse[j] = inverse_of(c[j].scale);
    shift[j] = mul(c[j].low, inverse[j]);
    q[j] = qq[j] = qx[j] = zero();
  }
  const Code next(g);
  for (int i = 0; i < g.n; ++i) {
    const f32x16 x = load(g.x[i]), w = load(g.w[i]);
    for (int j = 0; j < N; ++j) {
      const f32x16 place = Low ? fma(x, inverse[j], shift[j]) : mul(x, inverse[j]);
      const f32x16 code = next(place), wc = mul(w, code);
      q[j] = add(q[j], wc);
      qq[j] = fma(wc, code, qq[j]);
      qx[j] = fma(wc, x, qx[j]);
    }
  }
  for (int j = 0; j < N; ++j) {
    c[j].q = q[j];
    c[j].qq = qq[j];
    c[j].qx = qx[j];
  }
}

// As many at a time as registers hold. REQUIRES: `count` a multiple of kSearchCandidates.
template <bool Low, class Code = AnyCode>
inline void sum_all_codes(const CodeGroups& g, Candidate* c, int count) {
  for (int j = 0; j < count; j += kSearchCandidates) sum_codes<kSearchCandidates, Low, Code>(g, c + j);
}
inline void sum_symmetric(const CodeGroups& g, Candidate* c, int count) {
  if (g.table != nullptr)
    sum_all_codes<false, TableCode>(g, c, count);
  else
    sum_all_codes<false>(g, c, count);
}

// The error of a candidate with its codes.
inline f32x16 error_of(const Candidate& c, const SearchSums& sums) {
  const f32x16 two = set1(2.0f);
  const f32x16 by_scale = sub(mul(c.scale, c.qq), mul(two, add(mul(c.low, c.q), c.qx)));
  const f32x16 by_low = add(mul(c.low, sums.w), mul(two, sums.wx));
  return add(add(sums.wxx, mul(c.scale, by_scale)), mul(c.low, by_low));
}

// Least squares over scale >= 0 and low >= 0 for the codes of a candidate.
inline void solve_affine(Candidate& c, const SearchSums& sums) {
  const f32x16 none = zero(), weighted = mul(sums.w, c.qq), determinant = sub(weighted, mul(c.q, c.q));
  const f32x16 inverse = select_less(mul(mul(set1(1e-6f), sums.w), c.qq), determinant, div(set1(1.0f), determinant), none);
  const f32x16 scale = mul(sub(mul(sums.w, c.qx), mul(c.q, sums.wx)), inverse);
  const f32x16 low = mul(sub(mul(c.q, c.qx), mul(c.qq, sums.wx)), inverse);
  const f32x16 alone = max(mul(c.qx, inverse_of(c.qq)), none);  // the scale where low is 0
  c.scale = select_less(none, low, select_less(none, scale, scale, alone), alone);
  c.low = select_less(none, low, select_less(none, scale, low, none), none);
}

// Least squares over the scale alone, of either sign.
inline void solve_symmetric(Candidate& c) { c.scale = mul(c.qx, inverse_of(c.qq)); }

// Errors below this share of the squares are noise of f32 sums. Among such candidates the first one stays.
constexpr float kNoise = 0x1p-20f;

struct BestFit {
  f32x16 scale, low, error;
  void keep(const Candidate& c, const SearchSums& sums) {
    const f32x16 its_error = max(error_of(c, sums), mul(sums.wxx, set1(kNoise)));
    scale = select_less(its_error, error, c.scale, scale);
    low = select_less(its_error, error, c.low, low);
    error = select_less(its_error, error, its_error, error);
  }
  void store_in(ScaleFits& out) const {
    store(out.scale, scale);
    store(out.low, low);
  }
};

void weigh(CodeGroups& g, const CodeGroups::Lanes& inverse_lanes) {
  const f32x16 one = set1(1.0f), inverse = load(inverse_lanes);
  for (int i = 0; i < g.n; ++i) {
    const f32x16 x = load(g.x[i]);
    store(g.w[i], sqrt(add(one, mul(mul(x, x), inverse))));
  }
}

void sum_groups(CodeGroups& g) {
  f32x16 sum_w = zero(), sum_wx = zero(), sum_wxx = zero();
  for (int i = 0; i < g.n; ++i) {
    const f32x16 x = load(g.x[i]), w = load(g.w[i]), wx = mul(w, x);
    sum_w = add(sum_w, w);
    sum_wx = add(sum_wx, wx);
    sum_wxx = add(sum_wxx, mul(wx, x));
  }
  store(g.sum_w, sum_w);
  store(g.sum_wx, sum_wx);
  store(g.sum_wxx, sum_wxx);
}

// Counts and steps of the candidates below were found by trial on normal, heavy-tailed and trained weights: more candidates gain
// less than 0.3 % of error.
constexpr int kRounds = 2, kScales = 8;

void fit_affine(const CodeGroups& g, ScaleFits& out) {
  const SearchSums sums(g);
  f32x16 bottom = zero(), top = load(g.x[0]);
  for (int i = 0; i < g.n; ++i) {
    bottom = min(load(g.x[i]), bottom);
    top = max(load(g.x[i]), top);
  }
  const f32x16 range = sub(top, bottom);
  // No codes at all: everything is one value at or below zero.
  const f32x16 mean = max(sub(zero(), mul(sums.wx, inverse_of(sums.w))), zero());
  BestFit best{zero(), mean, add(sums.wxx, mul(mean, add(mul(mean, sums.w), mul(set1(2.0f), sums.wx))))};
  // The codes cover the whole range, or leave out a little at its ends.
  for (int cut_low = 0; cut_low < 4; ++cut_low) {
    const float cut = 0.4f * float(cut_low);
    Candidate c[kScales];
    for (int j = 0; j < kScales; ++j) {
      c[j].scale = div(range, set1(g.last + cut + 0.5f * float(j - 1)));
      c[j].low = sub(sub(zero(), bottom), mul(set1(cut), c[j].scale));
    }
    for (int round = 0; round < kRounds; ++round) {
      sum_all_codes<true>(g, c, kScales);
      for (Candidate& each : c) {
        solve_affine(each, sums);
        best.keep(each, sums);
      }
    }
  }
  best.store_in(out);
}

void fit_symmetric(const CodeGroups& g, ScaleFits& out) {
  const SearchSums sums(g);
  f32x16 extreme = zero();
  for (int i = 0; i < g.n; ++i) extreme = select_less(abs(extreme), abs(load(g.x[i])), load(g.x[i]), extreme);
  BestFit best{zero(), zero(), sums.wxx};
  const float ends[] = {g.first, g.last};
  const float apart = g.table != nullptr ? 8.0f : 2.0f;
  for (const float end : ends) {
    const float step = end < 0 ? -apart : apart;
    Candidate c[kScales];
    for (int j = 0; j < kScales; ++j) {
      c[j].scale = div(extreme, set1(end + step * float(j - 3)));
      c[j].low = zero();
    }
    for (int round = 0; round < kRounds; ++round) {
      sum_symmetric(g, c, kScales);
      for (Candidate& each : c) {
        solve_symmetric(each);
        best.keep(each, sums);
      }
    }
  }
  best.store_in(out);
}

// The first of the candidates with the least error, with the integers it was made of.
inline void store_best(const Candidate* c, const f32x16* scale, const f32x16* minimum, int count, const SearchSums& sums,
                       ScaleChoice& out) {
  Candidate best = c[0];
  f32x16 best_scale = scale[0], best_minimum = minimum[0], error = error_of(c[0], sums);
  for (int j = 1; j < count; ++j) {
    const f32x16 its_error = error_of(c[j], sums);
    const auto take = [&](f32x16& to, f32x16 from) { to = select_less(its_error, error, from, to); };
    take(best_scale, scale[j]);
    take(best_minimum, minimum[j]);
    take(best.q, c[j].q);
    take(best.qq, c[j].qq);
    take(best.qx, c[j].qx);
    take(error, its_error);
  }
  store(out.scale, best_scale);
  store(out.minimum, best_minimum);
  store(out.error, error);
  store(out.q, best.q);
  store(out.qq, best.qq);
  store(out.qx, best.qx);
}

void choose_affine(const CodeGroups& g, const ScaleFits& fits, const CodeGroups::Lanes& block_d,
                   const CodeGroups::Lanes& block_dmin, int last, ScaleChoice& out) {
  const f32x16 d = load(block_d), dmin = load(block_dmin);
  const f32x16 s = floor_of(min(mul(load(fits.scale), inverse_of(d)), set1(float(last - 1))));
  const f32x16 near = mul(load(fits.low), inverse_of(dmin));
  const f32x16 m = sub(floor_of(min(max(near, set1(1.0f)), set1(float(last - 2)))), set1(1.0f));
  Candidate c[8];
  f32x16 scale[8], minimum[8];
  for (int j = 0; j < 8; ++j) {
    scale[j] = add(s, set1(float(j / 4)));
    minimum[j] = add(m, set1(float(j % 4)));
    c[j].scale = mul(d, scale[j]);
    c[j].low = mul(dmin, minimum[j]);
  }
  sum_all_codes<true>(g, c, 8);
  store_best(c, scale, minimum, 8, SearchSums(g), out);
}

void choose_symmetric(const CodeGroups& g, const ScaleFits& fits, const CodeGroups::Lanes& block_d, int last, ScaleChoice& out) {
  const f32x16 d = load(block_d);
  const f32x16 near = min(max(mul(load(fits.scale), inverse_of(d)), set1(float(-last))), set1(float(last - 2)));
  const f32x16 s = sub(floor_of(near), set1(1.0f));
  Candidate c[4];
  f32x16 scale[4], minimum[4];
  for (int j = 0; j < 4; ++j) {
    scale[j] = add(s, set1(float(j)));
    minimum[j] = zero();
    c[j].scale = mul(d, scale[j]);
    c[j].low = zero();
  }
  sum_symmetric(g, c, 4);
  store_best(c, scale, minimum, 4, SearchSums(g), out);
}

extern const ScaleSearch kScaleSearch;
const ScaleSearch kScaleSearch{weigh, sum_groups, fit_affine, fit_symmetric, choose_affine, choose_symmetric};

}  // namespace gale::GALE_ISA
