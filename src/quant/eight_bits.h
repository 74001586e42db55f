#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>

#include "quant/two_level.h"

/// Whole numbers of 8 bits under one scale, by importance: types whose reference knows only the largest magnitude.
namespace gale::eight_bits {

/// Brings the weighted error of N values that are d x codes down. `d` and `codes` come as the reference has them; those of
/// another scale, none larger and at least 0.96 of it, take their place where they err less. kept(d) is what is left of d when it
/// is stored.
template <int N, class Kept>
void refine(const float* x, const float* importance, float& d, int8_t* codes, Kept&& kept) {
  constexpr int kTried = 16;
  float weights[N];
  two_level::weigh_values<N>(x, importance, weights);
  const auto error_of = [&](float scale, const int8_t* of) {
    float sum = 0;
    for (int i = 0; i < N; ++i) {
      const float off = x[i] - scale * float(of[i]);
      sum += weights[i] * off * off;
    }
    return sum;
  };
  const float whole = d;
  float best = error_of(kept(d), codes);
  for (int t = 0; t < kTried; ++t) {
    const float inverse = blocks::inverse_or_zero(whole * (1 - 0.04f * float(t) / kTried));
    int8_t trial[N];
    float along = 0, squares = 0;
    for (int i = 0; i < N; ++i) {
      trial[i] = int8_t(std::clamp(std::nearbyint(x[i] * inverse), -127.0f, 127.0f));
      along += weights[i] * x[i] * float(trial[i]);
      squares += weights[i] * float(trial[i]) * float(trial[i]);
    }
    const float fitted = squares > 0 ? kept(along / squares) : 0.0f;  // the least squares of these codes
    if (const float error = error_of(fitted, trial); std::isfinite(fitted) && error < best)
      best = error, d = fitted, std::memcpy(codes, trial, sizeof trial);
  }
}

}  // namespace gale::eight_bits
