#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

/// Searches for the scale (and minimum) that quantize a group of values with the least weighted squared error. Many candidates go
/// through the group side by side, one per lane; from the codes a candidate gives, least squares finds the best scale and minimum
/// for those codes and their error, which is the next, better candidate.
namespace gale::search {

/// Nearest integer, halves to even, for |x| < 2^22; two additions, so that loops over it vectorise.
inline float nearest(float x) { return (x + 0x1.8p23f) - 0x1.8p23f; }

/// 1 / scale; 0 for a scale so small that the quotient of a weight by it would overflow: such a scale is no scale.
inline float inverse_of(float scale) { return std::fabs(scale) > 1e-30f ? 1 / scale : 0.0f; }

/// The code of x where value = scale * code - low.
inline float code(float x, float inverse, float low, float first, float last) {
  return nearest(std::min(std::max((x + low) * inverse, first), last));
}

/// A group of N values, their weights, the range of its codes, and the sums that no code changes.
template <int N>
struct Group {
  const float *x, *w;
  float first, last;
  float sum_w = 0, sum_wx = 0, sum_wxx = 0;

  Group() = default;
  Group(const float* values, const float* weights, int first_code, int last_code)
      : x(values), w(weights), first(float(first_code)), last(float(last_code)) {
    for (int i = 0; i < N; ++i) {
      sum_w += w[i];
      sum_wx += w[i] * x[i];
      sum_wxx += w[i] * x[i] * x[i];
    }
  }
};

/// value = scale * code - low, and its weighted squared error over a group.
struct Fit {
  float scale = 0, low = 0, error = 0;
};

/// Candidates side by side, and weighted sums over the codes q they give.
template <int Lanes>
struct Candidates {
  float scale[Lanes], low[Lanes], error[Lanes];
  float q[Lanes], qq[Lanes], qx[Lanes];

  template <int N>
  void sum_codes(const Group<N>& group) {
    float inverse[Lanes], sum_q[Lanes] = {}, sum_qq[Lanes] = {}, sum_qx[Lanes] = {};
    for (int l = 0; l < Lanes; ++l) inverse[l] = inverse_of(scale[l]);
    for (int i = 0; i < N; ++i) {
      const float x = group.x[i], w = group.w[i];
      for (int l = 0; l < Lanes; ++l) {
        const float c = code(x, inverse[l], low[l], group.first, group.last), wc = w * c;
        sum_q[l] += wc;
        sum_qq[l] += wc * c;
        sum_qx[l] += wc * x;
      }
    }
    std::copy_n(sum_q, Lanes, q);
    std::copy_n(sum_qq, Lanes, qq);
    std::copy_n(sum_qx, Lanes, qx);
  }

  /// The error of every candidate with its codes.
  template <int N>
  void rate(const Group<N>& group) {
    for (int l = 0; l < Lanes; ++l)
      error[l] = group.sum_wxx + scale[l] * (scale[l] * qq[l] - 2 * (low[l] * q[l] + qx[l])) +
                 low[l] * (low[l] * group.sum_w + 2 * group.sum_wx);
  }

  /// Least squares over scale >= 0 and low >= 0 for the codes of every candidate.
  template <int N>
  void solve_affine(const Group<N>& group) {
    for (int l = 0; l < Lanes; ++l) {
      const float determinant = group.sum_w * qq[l] - q[l] * q[l];
      const float inverse = determinant > 1e-6f * group.sum_w * qq[l] ? 1 / determinant : 0.0f;
      const float s = (group.sum_w * qx[l] - q[l] * group.sum_wx) * inverse;
      const float m = (q[l] * qx[l] - qq[l] * group.sum_wx) * inverse;
      const bool inside = m > 0 && s > 0;
      scale[l] = inside ? s : std::max(0.0f, qx[l] * inverse_of(qq[l]));
      low[l] = inside ? m : 0.0f;
    }
    rate(group);
  }

  /// Least squares over the scale alone, of either sign; low is 0.
  template <int N>
  void solve_symmetric(const Group<N>& group) {
    for (int l = 0; l < Lanes; ++l) scale[l] = qx[l] * inverse_of(qq[l]);
    rate(group);
  }

  void keep_best(Fit& best) const {
    for (int l = 0; l < Lanes; ++l)
      if (error[l] < best.error) best = {scale[l], low[l], error[l]};
  }
};

// Counts and steps of the candidates below were found by trial on normal, heavy-tailed and trained weights: more candidates gain
// less than 0.3 % of error.
inline constexpr int kRounds = 2;

/// The best scale >= 0 and low >= 0 found for codes from 0.
template <int N>
Fit affine(const Group<N>& group) {
  const auto [smallest, largest] = std::minmax_element(group.x, group.x + N);
  const float bottom = std::min(*smallest, 0.0f), range = *largest - bottom;
  // No codes at all: everything is one value at or below zero.
  Fit best{.low = std::max(0.0f, -group.sum_wx * inverse_of(group.sum_w))};
  best.error = group.sum_wxx + best.low * (best.low * group.sum_w + 2 * group.sum_wx);
  // The codes cover the whole range, or leave out a little at its ends.
  for (int cut_low = 0; cut_low < 4; ++cut_low) {
    Candidates<8> c;
    for (int l = 0; l < 8; ++l) {
      c.scale[l] = range / (group.last + 0.4f * float(cut_low) + 0.5f * float(l - 1));
      c.low[l] = -bottom - 0.4f * float(cut_low) * c.scale[l];
    }
    for (int round = 0; round < kRounds; ++round) {
      c.sum_codes(group);
      c.solve_affine(group);
      c.keep_best(best);
    }
  }
  return best;
}

/// The best scale of either sign found for codes on both sides of 0; low is 0.
template <int N>
Fit symmetric(const Group<N>& group) {
  float extreme = 0;
  for (int i = 0; i < N; ++i)
    if (std::fabs(group.x[i]) > std::fabs(extreme)) extreme = group.x[i];
  Fit best{.error = group.sum_wxx};
  for (const float end : {group.first, group.last}) {
    Candidates<8> c;
    for (int l = 0; l < 8; ++l) {
      c.scale[l] = extreme / (end + std::copysign(2.0f, end) * float(l - 3));
      c.low[l] = 0;
    }
    for (int round = 0; round < kRounds; ++round) {
      c.sum_codes(group);
      c.solve_symmetric(group);
      c.keep_best(best);
    }
  }
  return best;
}

}  // namespace gale::search
