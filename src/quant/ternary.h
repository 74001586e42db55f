#pragma once
#include <algorithm>
#include <array>
#include <numeric>

#include "quant/two_level.h"

namespace gale::ternary {

/// 256 values as -d, 0 and d: codes 0, 1 and 2.
struct Fit {
  float d = 0;  ///< as f16 holds it
  uint8_t codes[256];
};

/// The d of the least weighted squared error. Whatever d is, the values beyond its half are those that are not 0, so they are the
/// n largest for some n, whose weighted mean is the best d for them: every n is tried. Rows that are ternary already come out as
/// they are, as by the reference's largest magnitude, which elsewhere turns most weights into zeros.
inline Fit fit(const float* x, const float* importance) {
  float both[256];
  if (importance) two_level::with_size<256>(x, importance, both), importance = both;
  std::array<int16_t, 256> order;
  std::iota(order.begin(), order.end(), int16_t(0));
  std::sort(order.begin(), order.end(), [x](int a, int b) {
    const float left = std::fabs(x[a]), right = std::fabs(x[b]);
    return left != right ? left > right : a < b;
  });
  float mean = 0;
  for (int i = 0; i < 256; ++i) mean += (importance ? importance[i] : x[i] * x[i]) / 256;
  const float inverse = two_level::inverse_mean(mean, 1);
  const auto weight = [&](int i) -> double {
    if (importance) return inverse > 0 ? double(importance[i] * inverse + 1e-3f) : 1.0;
    return std::sqrt(1 + double(x[i] * x[i] * inverse));
  };
  double sum_w = 0, sum_wx = 0, best = 0, d = 0;
  for (const int16_t i : order) {
    sum_w += weight(i);
    sum_wx += weight(i) * double(std::fabs(x[i]));
    if (const double gain = sum_wx * sum_wx / sum_w; gain > best) best = gain, d = sum_wx / sum_w;
  }
  Fit out{.d = f16_to_f32(f32_to_f16(float(d))), .codes = {}};
  for (int i = 0; i < 256; ++i) out.codes[i] = uint8_t(1 + (2 * x[i] > out.d) - (2 * x[i] < -out.d));
  return out;
}

constexpr Layout kLayout{.kind = Layout::Kind::grouped, .bits = 2, .group = 256, .block = 256, .top = ScaleType::f16, .bias = 1};

/// 256 columns: codes as F has them, then d. F::codes(block, out) reads them, F::write(fit, block) writes a block.
template <class F, int CodeBytes>
struct Block {
  static constexpr Layout layout = kLayout;
  static constexpr int kTop = CodeBytes;  ///< offset of d
  static constexpr int64_t bytes = kTop + 2;

  static bool valid(const std::byte* block) { return blocks::finite_f16(block + kTop); }

  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block + kTop);
    uint8_t code[256];
    F::codes(block, code);
    for (int i = 0; i < 256; ++i) out[i] = d * float(int(code[i]) - 1);
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block + kTop);
    F::codes(block, out.codes);
  }

  static void quantize(const blocks::BlockRow& row) {
    for (int64_t i = 0; i < row.blocks; ++i)
      F::write(fit(row.x + i * 256, row.importance ? row.importance + i * 256 : nullptr), row.out + i * bytes);
  }
};

}  // namespace gale::ternary
