#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "quant/gptq.h"
#include "quant/made_blocks.h"
#include "quant/two_level.h"

/// GPTQ's symmetric codes as they are made here. Files of GPTQ, which have several tensors a weight, are formats/gptq.cpp's.
namespace gale::gptq {

/// 128 columns: an f16 scale d, then codes from the lowest bit on; value = d * (q - 2^(Bits - 1)).
template <int Bits>
struct Block {
  static constexpr int64_t columns = 128, bytes = 2 + columns * Bits / 8;
  static constexpr int kHalf = 1 << (Bits - 1);
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = Bits, .group = 128, .block = 128, .top = ScaleType::f16, .bias = kHalf};

  static bool valid(const std::byte* block) { return blocks::finite_f16(block); }
  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block);
    uint8_t codes[columns];
    hf::unpack_bits(block + 2, Bits, 0, columns, codes);
    for (int64_t i = 0; i < columns; ++i) out[i] = d * float(int(codes[i]) - kHalf);
  }
  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block);
    hf::unpack_bits(block + 2, Bits, 0, columns, out.codes);
  }
  /// Codes deviate by 2^Bits / sqrt(12), and are half a step off zero: to one side here, to the other there.
  static void draw_scales(uint64_t bits, std::byte* block) {
    const float d = 0.066f / float(1 << Bits) * (1 + float(bits % 64) / 1024);
    blocks::store_u16(block, f32_to_f16(bits & 64 ? d : -d));
  }

  static float code_of(float x, float inverse) {
    return std::clamp(std::nearbyint(x * inverse), float(-kHalf), float(kHalf - 1));
  }

  /// GPTQ's option "mse": the scale of the least squared error, weighted by importance where it is known, from the one that cuts
  /// no value down, the more the fewer the bits. Of both signs, since there is one code more below zero than above.
  static float scale_of(const float* x, const float* importance) {
    constexpr int kTried = 24;
    constexpr float kLeast = Bits == 8 ? 0.95f : 0.2f + 0.1f * Bits;  // of the whole range
    const float whole = made::largest_of(x, columns) / float(kHalf - 1);
    float best = INFINITY, out = 0, weights[columns];
    std::fill_n(weights, columns, 1.0f);
    if (importance) two_level::weigh_values<columns>(x, importance, weights);
    for (int i = 0; i < 2 * kTried; ++i) {
      const float wanted = std::min(whole * (1 - (1 - kLeast) * float(i / 2) / (kTried - 1)), blocks::kF16Limit);
      const float d = f16_to_f32(f32_to_f16(i % 2 == 0 ? wanted : -wanted)), inverse = blocks::inverse_or_zero(d);
      float error = 0;
      for (int64_t k = 0; k < columns; ++k) {
        const float off = x[k] - d * code_of(x[k], inverse);
        error += weights[k] * off * off;
      }
      if (error < best) best = error, out = d;
    }
    return out;
  }
  /// To nearest.
  static void quantize(const blocks::BlockRow& row) {
    for (int64_t b = 0; b < row.blocks; ++b) {
      const float* x = row.x + b * columns;
      const float d = scale_of(x, row.importance ? row.importance + b * columns : nullptr), inverse = blocks::inverse_or_zero(d);
      uint8_t codes[columns];
      for (int64_t i = 0; i < columns; ++i) codes[i] = uint8_t(int(code_of(x[i], inverse)) + kHalf);
      store(d, codes, row.out + b * bytes);
    }
  }
  static void store(float d, const uint8_t* codes, std::byte* block) {
    blocks::store_u16(block, f32_to_f16(d));
    made::pack_bits(codes, Bits, columns, block + 2);
  }
};

/// Format::quantize_by: rounding that makes up for its errors.
template <class F>
void quantize_by(const GptqPlan& plan, const float* values, int64_t rows, std::byte* out) {
  blocks::check_input(F::name, values, rows, plan.columns, plan.importance.data(), F::columns, blocks::kF16Limit);
  const int64_t n = plan.columns / F::columns;
  std::vector<float> scales(static_cast<size_t>(rows * n));
  std::vector<uint8_t> codes(static_cast<size_t>(rows * plan.columns));
  for (int64_t i = 0; i < rows * n; ++i)
    scales[size_t(i)] = F::scale_of(values + i * F::columns, plan.importance.data() + i % n * F::columns);
  round_by_gptq(plan, values, rows, [&](int64_t row, int64_t column, float x) {
    const float d = scales[size_t(row * n + column / F::columns)], code = F::code_of(x, blocks::inverse_or_zero(d));
    codes[size_t(row * plan.columns + column)] = uint8_t(int(code) + F::kHalf);
    return d * code;
  });
  for (int64_t i = 0; i < rows * n; ++i) F::store(scales[size_t(i)], codes.data() + i * F::columns, out + i * F::bytes);
}

template <class F>
constexpr Format format() {
  Format out = blocks::block_format<F>();
  out.quantize_by = quantize_by<F>;
  out.file_form = "gptq", out.file_bits = F::layout.bits;
  return out;
}

}  // namespace gale::gptq
