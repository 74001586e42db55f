#pragma once
#include <cmath>

#include "kernels/layout.h"

namespace gale::iq4 {

/// The code whose value in the table is next to v; halfway between two the lower one.
inline uint8_t nearest_code(float v) {
  const int8_t* table = table_values(CodeTable::iq4);
  int code = 0;
  for (int i = 0; i < 15; ++i) code += v > 0.5f * float(table[i] + table[i + 1]);
  return uint8_t(code);
}

/// 32 values under one scale.
inline void encode(const float* x, float scale, uint8_t* codes) {
  const float inverse = std::fabs(scale) > 1e-30f ? 1 / scale : 0.0f;
  for (int i = 0; i < 32; ++i) codes[i] = nearest_code(x[i] * inverse);
}

}  // namespace gale::iq4
