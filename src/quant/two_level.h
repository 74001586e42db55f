#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/half.h"
#include "kernels/cpu/kernels.h"
#include "quant/blocks.h"

/// Searches for blocks with two levels of scales: small integers per group under f16 scales per block. Rounding a group's scale
/// to an integer moves its best codes and minimum again, so the integers are chosen by the error they lead to, and the f16 scales
/// are then fitted to the outcome. As many blocks as make sixteen groups go side by side, a group to a lane of the kernels.
namespace gale::two_level {

/// value = (d * scale[group]) * code - dmin * minimum[group], where minimums are 0 for formats without them.
template <int Groups>
struct Block {
  float d = 0, dmin = 0, error = std::numeric_limits<float>::infinity();
  std::array<float, Groups> scale{}, minimum{};  ///< whole numbers

  float step(int group) const { return d * scale[size_t(group)]; }
  float low(int group) const { return dmin * minimum[size_t(group)]; }
};

template <int Groups>
constexpr int kTogether = CodeGroups::kLanes / Groups;
template <int Groups>
using Blocks = std::array<Block<Groups>, kTogether<Groups>>;

/// 1 / the mean of n values that add up to `sum`; 0 where they vanish.
inline float inverse_mean(float sum, int n) {
  const float mean = sum / float(n);
  return mean > 1e-30f ? 1 / mean : 0.0f;
}

/// Weights of the errors of N values: importance where it is known, else by size, see weigh_by_size().
template <int N>
void weigh_values(const float* x, const float* importance, float* weights) {
  float mean = 0;
  for (int i = 0; i < N; ++i) mean += (importance ? importance[i] : x[i] * x[i]) / N;  // no sum overflows
  const float inverse = inverse_mean(mean, 1);
  for (int i = 0; i < N; ++i)
    weights[i] = !importance ? std::sqrt(1 + x[i] * x[i] * inverse) : inverse > 0 ? importance[i] * inverse + 1e-3f : 1.0f;
}

/// Weights by importance (of the columns of blocks [0, n)), the mean square of the inputs that meet each column: the weighted
/// error is then what the output is expected to be off by.
template <int N, int Groups>
void weigh_by_importance(const float* importance, int64_t n, CodeGroups& groups) {
  for (int64_t b = 0; b < n; ++b, importance += N * Groups) {
    float mean = 0;
    for (int i = 0; i < N * Groups; ++i) mean += importance[i] / float(N * Groups);  // no sum overflows
    const float inverse = inverse_mean(mean, 1);
    for (int g = 0; g < Groups; ++g)
      for (int i = 0; i < N; ++i) groups.w[i][b * Groups + g] = inverse > 0 ? importance[g * N + i] * inverse + 1e-3f : 1.0f;
  }
}

/// Importance times weigh_by_size()'s weights, f32 [N], to stand for importance: as llama.cpp does everywhere
/// (quantize_row_iq2_xxs_impl: qw * sqrt(sigma2 + x^2)). Were inputs independent, importance alone would say what the output is
/// expected to be off by. They are not, and with few bits that shows: on the bundled model (KL of 200 stories, without an
/// importance matrix / by it alone / by both) iq2_xxs 0.439 / 0.484 / 0.412, iq3_xxs 0.115 / 0.117 / 0.107, ternary 1.37 / 1.42
/// / 1.28. With more bits, or more points, it does better alone: iq2_xs 0.340 / 0.326 / 0.357, iq3_s 0.071 / 0.063 / 0.072.
/// `halved` takes its square root, where four values or fewer are all there is, and small columns would become zeros for the sake
/// of large ones: q2_0 0.641 / 0.726 / 0.682, with that 0.621; q2_k (250 other stories) 0.183 / 0.181 by both, with that 0.176.
template <int N>
void with_size(const float* x, const float* importance, float* out, bool halved = false) {
  float square = 0;
  for (int i = 0; i < N; ++i) square += x[i] * x[i] / N;  // no sum overflows
  const float inverse = inverse_mean(square, 1);
  for (int i = 0; i < N; ++i) out[i] = (halved ? std::sqrt(importance[i]) : importance[i]) * std::sqrt(1 + x[i] * x[i] * inverse);
}

/// Without importance large weights count more: they lie where inputs matter. On a small trained model that costs 1 % of plain
/// error and brings the output 5 % (4 bits) to 13 % (6 bits) closer in KL divergence than equal weights; importance, where it is
/// known, does better alone.
template <int N, int Groups>
void weigh_by_size(const ScaleSearch& search, CodeGroups& groups) {
  alignas(64) CodeGroups::Lanes squares = {}, inverse;
  for (int i = 0; i < N; ++i)
    for (int lane = 0; lane < CodeGroups::kLanes; ++lane) squares[lane] += groups.x[i][lane] * groups.x[i][lane];
  for (int b = 0; b < kTogether<Groups>; ++b) {
    const float sum = std::accumulate(squares + b * Groups, squares + (b + 1) * Groups, 0.0f);
    std::fill_n(inverse + b * Groups, Groups, inverse_mean(sum, N * Groups));
  }
  search.weigh(groups, inverse);
}

/// `n` blocks of groups of N values side by side, codes first..last. n <= kTogether; blocks that are not there are zeros.
template <int N, int Groups>
void side_by_side(const ScaleSearch& search, const float* x, const float* importance, int64_t n, int first, int last,
                  CodeGroups& out) {
  out.n = N;
  out.first = float(first);
  out.last = float(last);
  if (n < kTogether<Groups>) {
    std::fill_n(out.x[0], N * CodeGroups::kLanes, 0.0f);
    std::fill_n(out.w[0], N * CodeGroups::kLanes, 0.0f);
  }
  for (int64_t group = 0; group < n * Groups; ++group)
    for (int i = 0; i < N; ++i) out.x[i][group] = x[group * N + i];
  if (importance)
    weigh_by_importance<N, Groups>(importance, n, out);
  else
    weigh_by_size<N, Groups>(search, out);
  search.sum(out);
}

/// Sums of the least squares for d and dmin over the groups of a block.
struct BlockSums {
  float aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;

  void add(const CodeGroups& groups, const ScaleChoice& c, size_t lane) {
    const float scale = c.scale[lane], minimum = c.minimum[lane];
    aa += scale * scale * c.qq[lane];
    ab += scale * minimum * c.q[lane];
    bb += minimum * minimum * groups.sum_w[lane];
    ax += scale * c.qx[lane];
    bx += minimum * groups.sum_wx[lane];
  }

  /// Leaves d and dmin alone where the sums do not determine them.
  void solve(float& d, float& dmin) const {
    const float determinant = aa * bb - ab * ab;
    if (bb == 0) {
      if (aa > 0) d = ax / aa;
    } else if (determinant > 1e-6f * aa * bb) {
      const float new_d = (ax * bb - ab * bx) / determinant, new_dmin = (ab * ax - aa * bx) / determinant;
      if (new_d > 0 && new_dmin > 0) d = new_d, dmin = new_dmin;
    }
  }
};

/// Nearest f16 to a block scale. One that would vanish, and its block with it, becomes the smallest f16; 0 stays 0.
inline float block_scale(float x) {
  constexpr float smallest = 0x1p-24f;
  if (x == 0) return 0;
  const float rounded = f16_to_f32(f32_to_f16(x));
  return rounded != 0 ? rounded : std::copysign(smallest, x);
}

/// Block scales of the blocks of a tile before they are rounded to f16, and rounded, in every lane of their block.
template <int Groups>
struct BlockScales {
  std::array<float, kTogether<Groups>> exact{};
  alignas(64) CodeGroups::Lanes rounded;

  void round() {
    for (size_t b = 0; b < exact.size(); ++b) std::fill_n(rounded + b * Groups, Groups, block_scale(exact[b]));
  }
};

/// Keeps what came out for the block scales where it is better, and moves them to what fits the outcome.
template <int Groups>
void keep_better(const CodeGroups& groups, const ScaleChoice& choice, BlockScales<Groups>& d, BlockScales<Groups>& dmin,
                 Blocks<Groups>& best) {
  for (size_t b = 0; b < best.size(); ++b) {
    const size_t first = b * Groups;
    Block<Groups> block{.d = d.rounded[first], .dmin = dmin.rounded[first], .error = 0};
    BlockSums sums;
    for (size_t g = 0; g < Groups; ++g) {
      block.scale[g] = choice.scale[first + g];
      block.minimum[g] = choice.minimum[first + g];
      block.error += choice.error[first + g];
      sums.add(groups, choice, first + g);
    }
    sums.solve(d.exact[b], dmin.exact[b]);
    if (block.error < best[b].error) best[b] = block;
  }
}

// Block scales tried: those that give the largest group scale the last integer, or a few less, each fitted again once.
inline constexpr int kStarts = 3, kFits = 2, kStartStep = 3;

/// Codes from 0, scales and minimums 0..last_scale.
template <int Groups>
Blocks<Groups> search_affine(const ScaleSearch& search, const CodeGroups& groups, int last_scale) {
  ScaleFits fits;
  ScaleChoice choice;
  search.fit_affine(groups, fits);
  Blocks<Groups> best;
  BlockScales<Groups> d, dmin;
  for (int start = 0; start < kStarts; ++start) {
    for (size_t b = 0; b < best.size(); ++b) {
      const auto largest = [&](const CodeGroups::Lanes& of) { return *std::max_element(of + b * Groups, of + (b + 1) * Groups); };
      const float steps = float(last_scale - kStartStep * start);
      d.exact[b] = largest(fits.scale) / steps;
      dmin.exact[b] = largest(fits.low) / steps;
    }
    for (int fit = 0; fit < kFits; ++fit) {
      d.round();
      dmin.round();
      search.choose_affine(groups, fits, d.rounded, dmin.rounded, last_scale, choice);
      keep_better<Groups>(groups, choice, d, dmin, best);
    }
  }
  return best;
}

/// Codes on both sides of 0, scales -1 - last_scale .. last_scale.
template <int Groups>
Blocks<Groups> search_symmetric(const ScaleSearch& search, const CodeGroups& groups, int last_scale) {
  ScaleFits fits;
  ScaleChoice choice;
  search.fit_symmetric(groups, fits);
  Blocks<Groups> best;
  BlockScales<Groups> d, none;
  none.round();
  for (int start = 0; start < kStarts; ++start) {
    for (size_t b = 0; b < best.size(); ++b) {
      const auto smaller = [](float x, float y) { return std::fabs(x) < std::fabs(y); };
      d.exact[b] = *std::max_element(fits.scale + b * Groups, fits.scale + (b + 1) * Groups, smaller) /
                   float(kStartStep * start - 1 - last_scale);
    }
    for (int fit = 0; fit < kFits; ++fit) {
      d.round();
      search.choose_symmetric(groups, fits, d.rounded, last_scale, choice);
      keep_better<Groups>(groups, choice, d, none, best);
    }
  }
  return best;
}

/// Codes of one group of values for value = scale * code - low.
template <int N, class Code>
void encode(const float* x, float scale, float low, int first, int last, Code* out) {
  // Nearest, halves to even; two additions, so that the loop vectorises.
  const auto nearest = [](float v) { return (v + 0x1.8p23f) - 0x1.8p23f; };
  const float inverse = std::fabs(scale) > 1e-30f ? 1 / scale : 0.0f;
  for (int i = 0; i < N; ++i) out[i] = Code(nearest(std::min(std::max((x[i] + low) * inverse, float(first)), float(last))));
}

/// A row of blocks of eight groups of 32 with codes 0..Last, scales and minimums of 6 bits: F::write(x, found, block) each.
template <class F, int Last>
void quantize_affine(const blocks::BlockRow& row) {
  CodeGroups groups;
  for (int64_t first = 0; first < row.blocks; first += kTogether<8>) {
    const int64_t n = std::min<int64_t>(row.blocks - first, kTogether<8>);
    const float *x = row.x + first * 256, *importance = row.importance ? row.importance + first * 256 : nullptr;
    side_by_side<32, 8>(row.cpu.search, x, importance, n, 0, Last, groups);
    const auto found = search_affine<8>(row.cpu.search, groups, 63);
    for (int64_t b = 0; b < n; ++b) F::write(x + b * 256, found[size_t(b)], row.out + (first + b) * F::bytes);
  }
}

}  // namespace gale::two_level
