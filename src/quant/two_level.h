#pragma once
#include <array>
#include <limits>

#include "base/half.h"
#include "quant/search.h"

/// Searches for blocks with two levels of scales: small integers per group under f16 scales per block. Rounding a group's scale
/// to an integer moves its best codes and minimum again, so the integers are chosen by the error they lead to, and the f16 scales
/// are then fitted to the outcome.
namespace gale::search {

/// Nearest f16 to a block scale. One that would vanish, and its block with it, becomes the smallest f16; 0 stays 0.
inline float block_scale(float x) {
  constexpr float smallest = 0x1p-24f;
  if (x == 0) return 0;
  const float rounded = f16_to_f32(f32_to_f16(x));
  return rounded != 0 ? rounded : std::copysign(smallest, x);
}

/// value = (d * scale[group]) * code - dmin * minimum[group].
template <int Groups>
struct AffineBlock {
  float d = 0, dmin = 0, error = std::numeric_limits<float>::infinity();
  std::array<uint8_t, Groups> scale{}, minimum{};
};

/// value = (d * scale[group]) * code.
template <int Groups>
struct SymmetricBlock {
  float d = 0, error = std::numeric_limits<float>::infinity();
  std::array<int8_t, Groups> scale{};
};

/// Sums of the least squares for d and dmin over the groups of a block.
struct BlockSums {
  float aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;

  template <int N, int Lanes>
  void add(const Group<N>& group, const Candidates<Lanes>& c, int lane, float scale, float minimum) {
    aa += scale * scale * c.qq[lane];
    ab += scale * minimum * c.q[lane];
    bb += minimum * minimum * group.sum_w;
    ax += scale * c.qx[lane];
    bx += minimum * group.sum_wx;
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

/// One outcome for block scales near d and dmin, kept in `best` where it is better; d and dmin move to what fits the outcome.
template <int N, int Groups>
void try_affine(const std::array<Group<N>, Groups>& groups, const std::array<Fit, Groups>& fits, int last_scale, float& d,
                float& dmin, AffineBlock<Groups>& best) {
  AffineBlock<Groups> block{.d = block_scale(d), .dmin = block_scale(dmin), .error = 0};
  const float inverse_d = inverse_of(block.d), inverse_dmin = inverse_of(block.dmin);
  BlockSums sums;
  for (size_t g = 0; g < Groups; ++g) {
    // Two scales around the group's own, four minimums around its own.
    const int s = int(std::min(fits[g].scale * inverse_d, float(last_scale - 1)));
    const int m = int(std::clamp(fits[g].low * inverse_dmin, 1.0f, float(last_scale - 2))) - 1;
    Candidates<8> c;
    for (int l = 0; l < 8; ++l) {
      c.scale[l] = block.d * float(s + l / 4);
      c.low[l] = block.dmin * float(m + l % 4);
    }
    c.sum_codes(groups[g]);
    c.rate(groups[g]);
    const int lane = int(std::min_element(c.error, c.error + 8) - c.error);
    block.scale[g] = uint8_t(s + lane / 4);
    block.minimum[g] = uint8_t(m + lane % 4);
    block.error += c.error[lane];
    sums.add(groups[g], c, lane, block.scale[g], block.minimum[g]);
  }
  sums.solve(d, dmin);
  if (block.error < best.error) best = block;
}

// Block scales tried: those that give the largest group scale the last integer, or a few less, each fitted again once.
inline constexpr int kStarts = 3, kFits = 2, kStartStep = 3;

/// A block of Groups x N values, codes 0..last, scales and minimums 0..last_scale.
template <int N, int Groups>
AffineBlock<Groups> affine_block(const float* x, const float* w, int last, int last_scale) {
  std::array<Group<N>, Groups> groups;
  std::array<Fit, Groups> fits;
  float largest_scale = 0, largest_low = 0;
  for (size_t g = 0; g < Groups; ++g) {
    groups[g] = Group<N>(x + g * N, w + g * N, 0, last);
    fits[g] = affine(groups[g]);
    largest_scale = std::max(largest_scale, fits[g].scale);
    largest_low = std::max(largest_low, fits[g].low);
  }
  AffineBlock<Groups> best;
  for (int start = 0; start < kStarts; ++start) {
    const float steps = float(last_scale - kStartStep * start);
    float d = largest_scale / steps, dmin = largest_low / steps;
    for (int round = 0; round < kFits; ++round) try_affine<N, Groups>(groups, fits, last_scale, d, dmin, best);
  }
  return best;
}

template <int N, int Groups>
void try_symmetric(const std::array<Group<N>, Groups>& groups, const std::array<Fit, Groups>& fits, float& d,
                   SymmetricBlock<Groups>& best) {
  SymmetricBlock<Groups> block{.d = block_scale(d), .error = 0};
  const float inverse_d = inverse_of(block.d);
  BlockSums sums;
  for (size_t g = 0; g < Groups; ++g) {
    const int s = int(std::floor(std::clamp(fits[g].scale * inverse_d, -127.0f, 125.0f))) - 1;
    Candidates<4> c;
    for (int l = 0; l < 4; ++l) {
      c.scale[l] = block.d * float(s + l);
      c.low[l] = 0;
    }
    c.sum_codes(groups[g]);
    c.rate(groups[g]);
    const int lane = int(std::min_element(c.error, c.error + 4) - c.error);
    block.scale[g] = int8_t(s + lane);
    block.error += c.error[lane];
    sums.add(groups[g], c, lane, block.scale[g], 0);
  }
  float none = 0;
  sums.solve(d, none);
  if (block.error < best.error) best = block;
}

/// A block of Groups x N values, codes first..last around 0, scales -128..127.
template <int N, int Groups>
SymmetricBlock<Groups> symmetric_block(const float* x, const float* w, int first, int last) {
  std::array<Group<N>, Groups> groups;
  std::array<Fit, Groups> fits;
  float extreme = 0;
  for (size_t g = 0; g < Groups; ++g) {
    groups[g] = Group<N>(x + g * N, w + g * N, first, last);
    fits[g] = symmetric(groups[g]);
    if (std::fabs(fits[g].scale) > std::fabs(extreme)) extreme = fits[g].scale;
  }
  SymmetricBlock<Groups> best;
  for (int start = 0; start < kStarts; ++start) {
    float d = extreme / (float(kStartStep * start - 128));
    for (int round = 0; round < kFits; ++round) try_symmetric<N, Groups>(groups, fits, d, best);
  }
  return best;
}

/// Codes of one group of values for value = scale * code - low.
template <int N, class Code>
void encode(const float* x, float scale, float low, int first, int last, Code* out) {
  const float inverse = inverse_of(scale);
  for (int i = 0; i < N; ++i) out[i] = Code(code(x[i], inverse, low, float(first), float(last)));
}

}  // namespace gale::search
