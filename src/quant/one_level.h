#pragma once
#include <algorithm>

#include "quant/two_level.h"

/// Groups of 32 under f16 scales of their own. Without importance they are made by the reference's formula, from the extremes of
/// the group, byte for byte; with it sixteen groups at a time are searched for the scale of the least weighted error.
namespace gale::one_level {

/// 32 values under one scale: codes 0 .. 2 Half - 1 stand for Half less. The value of largest magnitude, the first of several,
/// becomes code 0.
template <int Half>
float encode_symmetric(const float* x, uint8_t* codes) {
  float largest = 0;
  for (int i = 0; i < 32; ++i)
    if (std::fabs(x[i]) > std::fabs(largest)) largest = x[i];
  const float d = largest / float(-Half), inverse = blocks::inverse_or_zero(d);
  for (int i = 0; i < 32; ++i) codes[i] = uint8_t(std::min(2 * Half - 1, int(x[i] * inverse + (float(Half) + 0.5f))));
  return d;
}

/// 32 values from the smallest to the largest in codes 0 .. Last.
struct Range {
  float d, minimum;
};
template <int Last>
Range encode_range(const float* x, uint8_t* codes) {
  const auto [least, most] = std::minmax_element(x, x + 32);
  const float d = (*most - *least) / float(Last), inverse = blocks::inverse_or_zero(d);
  for (int i = 0; i < 32; ++i) codes[i] = uint8_t(std::min(Last, int((x[i] - *least) * inverse + 0.5f)));
  return {d, *least};
}

/// Groups [first, first + n) of a row side by side, n <= 16, weighted by importance or, as two_level.h says, by size; less[lane]
/// is taken off their values.
inline void side_by_side(const blocks::BlockRow& row, int64_t first, int64_t n, const CodeGroups::Lanes& less, CodeGroups& out) {
  alignas(64) CodeGroups::Lanes inverse = {};
  out.n = 32;
  std::fill_n(out.x[0], 32 * CodeGroups::kLanes, 0.0f);
  std::fill_n(out.w[0], 32 * CodeGroups::kLanes, 0.0f);
  for (int64_t lane = 0; lane < n; ++lane) {
    const float *x = row.x + (first + lane) * 32, *importance = row.importance ? row.importance + (first + lane) * 32 : nullptr;
    float mean = 0;
    for (int i = 0; i < 32; ++i) mean += (importance ? importance[i] : x[i] * x[i]) / 32;  // no sum overflows
    inverse[lane] = two_level::inverse_mean(mean, 1);
    for (int i = 0; i < 32; ++i) out.x[i][lane] = x[i] - less[lane];
    for (int i = 0; importance && i < 32; ++i) out.w[i][lane] = inverse[lane] > 0 ? importance[i] * inverse[lane] + 1e-3f : 1.0f;
  }
  if (row.importance == nullptr) row.cpu.search.weigh(out, inverse);
  row.cpu.search.sum(out);
}

/// A row of blocks of 32 values d * (code - Half): F::write(d, codes, block) each.
template <class F, int Half>
void quantize_symmetric(const blocks::BlockRow& row) {
  uint8_t codes[32];
  if (row.importance == nullptr) {
    for (int64_t i = 0; i < row.blocks; ++i) {
      const float d = encode_symmetric<Half>(row.x + i * 32, codes);
      F::write(d, codes, row.out + i * F::bytes);
    }
    return;
  }
  CodeGroups groups;
  groups.first = -Half;
  groups.last = Half - 1;
  ScaleFits fits;
  const CodeGroups::Lanes nothing = {};
  for (int64_t first = 0; first < row.blocks; first += CodeGroups::kLanes) {
    const int64_t n = std::min<int64_t>(row.blocks - first, CodeGroups::kLanes);
    side_by_side(row, first, n, nothing, groups);
    row.cpu.search.fit_symmetric(groups, fits);
    for (int64_t lane = 0; lane < n; ++lane) {
      const float d = two_level::block_scale(fits.scale[lane]);
      int8_t signed_codes[32];
      two_level::encode<32>(row.x + (first + lane) * 32, d, 0, -Half, Half - 1, signed_codes);
      for (int i = 0; i < 32; ++i) codes[i] = uint8_t(signed_codes[i] + Half);
      F::write(d, codes, row.out + (first + lane) * F::bytes);
    }
  }
}

/// A row of blocks of 32 values d * code + m, codes 0 .. Last: F::write(d, m, codes, block) each.
template <class F, int Last>
void quantize_affine(const blocks::BlockRow& row) {
  uint8_t codes[32];
  if (row.importance == nullptr) {
    for (int64_t i = 0; i < row.blocks; ++i) {
      const Range range = encode_range<Last>(row.x + i * 32, codes);
      F::write(range.d, range.minimum, codes, row.out + i * F::bytes);
    }
    return;
  }
  CodeGroups groups;
  groups.first = 0;
  groups.last = Last;
  ScaleFits fits;
  for (int64_t first = 0; first < row.blocks; first += CodeGroups::kLanes) {
    const int64_t n = std::min<int64_t>(row.blocks - first, CodeGroups::kLanes);
    // The search takes low >= 0: groups above zero are moved down to it.
    CodeGroups::Lanes least = {};
    for (int64_t lane = 0; lane < n; ++lane) {
      const float* x = row.x + (first + lane) * 32;
      least[lane] = std::max(0.0f, *std::min_element(x, x + 32));
    }
    side_by_side(row, first, n, least, groups);
    row.cpu.search.fit_affine(groups, fits);
    for (int64_t lane = 0; lane < n; ++lane) {
      const float d = two_level::block_scale(fits.scale[lane]), m = f16_to_f32(f32_to_f16(least[lane] - fits.low[lane]));
      two_level::encode<32>(row.x + (first + lane) * 32, d, -m, 0, Last, codes);
      F::write(d, m, codes, row.out + (first + lane) * F::bytes);
    }
  }
}

}  // namespace gale::one_level
