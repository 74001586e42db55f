#include "quant/blocks.h"

namespace gale {
namespace {

/// 128 columns: f16 scale d, then a bit for each, the first in the lowest; value = d where it is 1, else -d: here d * (q - 2)
/// with q 3 or 1. 1.125 bits per weight.
struct Q1_0 {
  static constexpr std::string_view name = "q1_0";
  static constexpr TensorType type = TensorType::q1_0;
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = 2, .group = 128, .block = 128, .top = ScaleType::f16, .bias = 2};
  static constexpr int64_t columns = 128, bytes = 18;

  static bool valid(const std::byte* block) { return blocks::finite_f16(block); }
  static bool bit(const std::byte* block, int64_t i) { return (uint8_t(block[2 + i / 8]) >> i % 8 & 1) != 0; }
  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block);
    for (int64_t i = 0; i < columns; ++i) out[i] = bit(block, i) ? d : -d;
  }
  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block);
    for (int64_t i = 0; i < columns; ++i) out.codes[i] = bit(block, i) ? 3 : 1;
  }
  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    std::memset(block, 0, size_t(bytes));
    blocks::store_u16(block, f32_to_f16(from.top));
    for (int64_t i = 0; i < columns; ++i) block[2 + i / 8] |= std::byte(from.codes[i] / 2 << i % 8);
  }
  /// 2e-2 and up: the value itself.
  static void draw_scales(uint64_t bits, std::byte* block) { blocks::store_u16(block, uint16_t(0x251f + bits % 64)); }

  /// The reference definition: the mean magnitude, which is the d of the least squared error. With importance the weighted mean
  /// is; by its square root, which comes closer to the model (KL 3.66 instead of 3.75, and 3.69 without it).
  static void quantize(const blocks::BlockRow& row) {
    for (int64_t b = 0; b < row.blocks; ++b)
      quantize_block(row.x + b * columns, row.importance ? row.importance + b * columns : nullptr, row.out + b * bytes);
  }
  static void quantize_block(const float* x, const float* importance, std::byte* block) {
    float sum = 0;
    double weighted = 0, weights = 0;
    for (int64_t i = 0; i < columns; ++i) sum += std::fabs(x[i]);
    for (int64_t i = 0; importance && i < columns; ++i)
      weighted += std::sqrt(double(importance[i])) * double(std::fabs(x[i])), weights += std::sqrt(double(importance[i]));
    blocks::store_u16(block, f32_to_f16(weights > 0 ? float(weighted / weights) : sum / columns));
    for (int64_t byte = 0; byte < columns / 8; ++byte) {
      int bits = 0;
      for (int64_t i = 0; i < 8; ++i) bits |= int(x[byte * 8 + i] >= 0) << i;
      block[2 + byte] = std::byte(bits);
    }
  }
};

}  // namespace

extern const Format format_q1_0;
const Format format_q1_0 = blocks::block_format<Q1_0>();

}  // namespace gale
