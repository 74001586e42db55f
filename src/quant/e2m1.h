#pragma once
#include <algorithm>
#include <cmath>

#include "quant/two_level.h"

/// What is common to the types of 4-bit floats (CodeTable::e2m1) that are made here: the best codes under a scale.
namespace gale::e2m1 {

/// Codes of N values whose doubles are under the scale d, and their weighted squared error.
template <int N>
struct Trial {
  float error = 0;
  uint8_t codes[N];

  Trial(const float* x, const float* weights, float d) {
    const int8_t* table = table_values(CodeTable::e2m1);
    constexpr float kBetween[] = {0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10};  // of two neighbours; there the smaller one is taken
    for (int i = 0; i < N; ++i) {
      int magnitude = 0;
      for (const float between : kBetween) magnitude += std::fabs(x[i]) > between * d;
      codes[i] = uint8_t(magnitude | (x[i] < 0 && magnitude > 0 ? 8 : 0));
      const float off = x[i] - d * float(table[codes[i]]);
      error += weights[i] * off * off;
    }
  }
};

}  // namespace gale::e2m1
