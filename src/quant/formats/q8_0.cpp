#include <algorithm>

#include "quant/blocks.h"
#include "quant/eight_bits.h"

namespace gale {
namespace {

/// 32 columns: f16 scale d, then 32 signed bytes q; value = d * q. 8.5 bits per weight.
struct Q8_0 {
  static constexpr std::string_view name = "q8_0";
  static constexpr TensorType type = TensorType::q8_0;
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = 8, .group = 32, .block = 32, .top = ScaleType::f16, .bias = 128};
  static constexpr int64_t bytes = 34;

  static bool valid(const std::byte* block) { return blocks::finite_f16(block); }

  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block);
    for (int i = 0; i < 32; ++i) out[i] = d * float(int8_t(block[2 + i]));
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block);
    uint8_t q[32];  // a copy: see blocks::split_nibbles()
    std::memcpy(q, block + 2, 32);
    for (int i = 0; i < 32; ++i) out.codes[i] = q[i] ^ 0x80;  // q + 128
  }

  /// 2.7e-4 and up: codes have a deviation of 74.
  static void draw_scales(uint64_t bits, std::byte* block) { blocks::store_u16(block, uint16_t(0x0c6c + bits % 64)); }
  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    blocks::store_u16(block, f32_to_f16(from.top));
    for (int i = 0; i < 32; ++i) block[2 + i] = std::byte(from.codes[i] ^ 0x80);
  }

  /// The reference definition: 127 steps to the largest magnitude. With importance the scale of the least weighted error
  /// near that.
  static void quantize(const blocks::BlockRow& row) {
    for (int64_t i = 0; i < row.blocks; ++i)
      quantize_block(row.x + i * 32, row.importance ? row.importance + i * 32 : nullptr, row.out + i * bytes);
  }
  static void quantize_block(const float* x, const float* importance, std::byte* block) {
    float largest = 0;
    for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(x[i]));
    float d = largest / 127.0f;
    const float inverse = blocks::inverse_or_zero(d);  // 0: d is below f16's reach by far, all zeros either way
    int8_t codes[32];
    for (int i = 0; i < 32; ++i) codes[i] = int8_t(blocks::round_away(x[i] * inverse));
    if (importance) eight_bits::refine<32>(x, importance, d, codes, [](float v) { return f16_to_f32(f32_to_f16(v)); });
    blocks::store_u16(block, f32_to_f16(d));
    std::memcpy(block + 2, codes, sizeof codes);
  }
};

}  // namespace

extern const Format format_q8_0;
const Format format_q8_0 = blocks::block_format<Q8_0>();

}  // namespace gale
