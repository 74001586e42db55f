#include <algorithm>

#include "quant/made_blocks.h"
#include "quant/two_level.h"

namespace gale {
namespace {

/// 64 columns: f16 scale d, then 2 bits for each, the first in the lowest; value = d * (q - 1): -d, 0, d and 2 d. 2.25 bits per
/// weight.
struct Q2_0 {
  static constexpr std::string_view name = "q2_0";
  static constexpr TensorType type = TensorType::q2_0;
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = 2, .group = 64, .block = 64, .top = ScaleType::f16, .real_zeros = true};
  static constexpr int64_t columns = 64, bytes = 18;

  static bool valid(const std::byte* block) { return blocks::finite_f16(block); }
  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block);
    uint8_t codes[columns];
    hf::unpack_bits(block + 2, 2, 0, columns, codes);
    for (int64_t i = 0; i < columns; ++i) out[i] = d * float(int(codes[i]) - 1);
  }
  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block);
    *out.top_min = 1;
    hf::unpack_bits(block + 2, 2, 0, columns, out.codes);
  }
  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    blocks::store_u16(block, f32_to_f16(from.top));
    made::pack_bits(from.codes, 2, columns, block + 2);
  }
  /// 2.8e-2 and up: with code 1 for every 3 codes deviate by 0.71.
  static void draw_scales(uint64_t bits, std::byte* block) {
    for (int64_t i = 2; i < bytes; ++i) block[i] &= ~(block[i] << 1 & std::byte(0xaa));
    blocks::store_u16(block, uint16_t(0x273d + bits % 64));
  }

  static void quantize(const blocks::BlockRow& row) {
    for (int64_t b = 0; b < row.blocks; ++b)
      quantize_block(row.x + b * columns, row.importance ? row.importance + b * columns : nullptr, row.out + b * bytes);
  }

  struct Trial {
    float error = 0, d = 0;
    uint8_t codes[columns];
    Trial(const float* x, const float* weights, float scale) : d(f16_to_f32(f32_to_f16(scale))) {
      const float inverse = blocks::inverse_or_zero(d);
      for (int64_t i = 0; i < columns; ++i) {
        const float nearest = std::clamp(float(blocks::round_away(std::clamp(x[i] * inverse, -4.0f, 4.0f))), -1.0f, 2.0f);
        codes[i] = uint8_t(int(nearest) + 1);
        const float off = x[i] - d * nearest;
        error += weights[i] * off * off;
      }
    }
    /// The best scale for these codes.
    float fitted(const float* x, const float* weights) const {
      double up = 0, down = 0;
      for (int64_t i = 0; i < columns; ++i) {
        const double q = double(codes[i]) - 1;
        up += double(weights[i]) * q * double(x[i]), down += double(weights[i]) * q * q;
      }
      return down > 0 ? float(up / down) : 0.0f;
    }
  };

  /// The reference divides by the largest magnitude, which leaves what is already of its form as it is, and elsewhere makes zeros
  /// of most weights. Tried besides: shares of it, with both signs since twice d is there on one side only, and the best scale
  /// for the codes that each gives.
  static void quantize_block(const float* x, const float* importance, std::byte* block) {
    float weights[columns], both[columns];
    if (importance) two_level::with_size<columns>(x, importance, both, true), importance = both;
    two_level::weigh_values<columns>(x, importance, weights);
    const float largest = made::largest_of(x, columns);
    Trial best(x, weights, largest);
    const auto try_scale = [&](float d) {
      const Trial trial(x, weights, d);
      if (trial.error < best.error) best = trial;
      return trial;
    };
    for (int step = 5; step <= 16; ++step)
      for (const float sign : {1.0f, -1.0f}) {
        const Trial first = try_scale(sign * largest * float(step) / 16);
        try_scale(try_scale(first.fitted(x, weights)).fitted(x, weights));
      }
    blocks::store_u16(block, f32_to_f16(best.d));
    made::pack_bits(best.codes, 2, columns, block + 2);
  }
};

}  // namespace

extern const Format format_q2_0;
const Format format_q2_0 = blocks::block_format<Q2_0>();

}  // namespace gale
