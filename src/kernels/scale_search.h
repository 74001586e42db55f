#pragma once
#include <cstdint>

namespace gale {

/// Sixteen groups of n values side by side, one a lane, with the weights of their squared errors and the range of their codes.
/// A lane of zeros is a group nobody asked for. Candidates for value = scale * code - low take the nearest codes: whole numbers,
/// or those of a table where there is one (symmetric searches only). All arithmetic is f32 in one order: the outcome is the same
/// bits on every instruction set.
struct CodeGroups {
  static constexpr int kLanes = 16, kMaxValues = 32;
  using Lanes = float[kLanes];

  int n = 0;
  float first = 0, last = 0;                       ///< codes, whole numbers
  const int8_t* table = nullptr;                   ///< [16] rising, from first to last; nullptr: all of them
  alignas(64) Lanes x[kMaxValues], w[kMaxValues];  ///< [n, 16]
  alignas(64) Lanes sum_w, sum_wx, sum_wxx;        ///< over the values of each group

  void set_table(const int8_t* values) {
    table = values;
    first = values[0];
    last = values[15];
  }
};

/// value = scale * code - low, one a group.
struct ScaleFits {
  alignas(64) CodeGroups::Lanes scale, low;
};

/// Of the scales scale * d and low = minimum * dmin near a fit those with the least error, and weighted sums over the codes that
/// they give.
struct ScaleChoice {
  alignas(64) CodeGroups::Lanes scale, minimum;  ///< whole numbers
  alignas(64) CodeGroups::Lanes error, q, qq, qx;
};

/// Searches for the scale (and minimum) that quantize groups with the least weighted squared error: quant/two_level.h builds
/// formats on them.
struct ScaleSearch {
  /// Sets the weights to sqrt(1 + x^2 * inverse), `inverse` one a group.
  void (*weigh)(CodeGroups& groups, const CodeGroups::Lanes& inverse);
  /// Sets the sums of the groups.
  void (*sum)(CodeGroups& groups);
  /// The best scale >= 0 and low >= 0 found for codes from 0.
  void (*fit_affine)(const CodeGroups& groups, ScaleFits& out);
  /// The best scale of either sign found for codes on both sides of 0; low is 0.
  void (*fit_symmetric)(const CodeGroups& groups, ScaleFits& out);
  /// Two scales of 0..last around each fit's, four minimums around its own.
  void (*choose_affine)(const CodeGroups& groups, const ScaleFits& fits, const CodeGroups::Lanes& d,
                        const CodeGroups::Lanes& dmin, int last, ScaleChoice& out);
  /// Four scales of -1 - last .. last around each fit's.
  void (*choose_symmetric)(const CodeGroups& groups, const ScaleFits& fits, const CodeGroups::Lanes& d, int last,
                           ScaleChoice& out);
};

}  // namespace gale
