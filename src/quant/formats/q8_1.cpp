#include <algorithm>

#include "quant/blocks.h"
#include "quant/eight_bits.h"

namespace gale {
namespace {

/// 32 columns: f16 scale d, f16 s = d * the sum of the codes, 32 signed bytes q; value = d * q. 9 bits per weight. llama.cpp
/// rounds inputs to it; s, a help to its kernels, is rounded itself and says nothing that d and q do not: it is not read.
struct Q8_1 {
  static constexpr std::string_view name = "q8_1";
  static constexpr TensorType type = TensorType::q8_1;
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = 8, .group = 32, .block = 32, .top = ScaleType::f16, .bias = 128};
  static constexpr int64_t bytes = 36;
  static constexpr int kCodes = 4;  // offset

  static bool valid(const std::byte* block) { return blocks::finite_f16(block); }

  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block);
    for (int i = 0; i < 32; ++i) out[i] = d * float(int8_t(block[kCodes + i]));
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block);
    uint8_t q[32];  // a copy: see blocks::split_nibbles()
    std::memcpy(q, block + kCodes, 32);
    for (int i = 0; i < 32; ++i) out.codes[i] = q[i] ^ 0x80;  // q + 128
  }

  static void store_sum(float d, std::byte* block) {
    int sum = 0;
    for (int i = 0; i < 32; ++i) sum += int8_t(block[kCodes + i]);
    blocks::store_u16(block + 2, f32_to_f16(std::clamp(d * float(sum), -blocks::kF16Limit, blocks::kF16Limit)));
  }

  /// 2.7e-4 and up: codes have a deviation of 74.
  static void draw_scales(uint64_t bits, std::byte* block) {
    blocks::store_u16(block, uint16_t(0x0c6c + bits % 64));
    store_sum(blocks::load_f16(block), block);
  }
  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    blocks::store_u16(block, f32_to_f16(from.top));
    for (int i = 0; i < 32; ++i) block[kCodes + i] = std::byte(from.codes[i] ^ 0x80);
    store_sum(from.top, block);
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
    const float inverse = blocks::inverse_or_zero(d);
    int8_t codes[32];
    for (int i = 0; i < 32; ++i) codes[i] = int8_t(blocks::round_away(x[i] * inverse));
    if (importance) eight_bits::refine<32>(x, importance, d, codes, [](float v) { return f16_to_f32(f32_to_f16(v)); });
    blocks::store_u16(block, f32_to_f16(d));
    std::memcpy(block + kCodes, codes, sizeof codes);
    store_sum(d, block);
  }
};

}  // namespace

extern const Format format_q8_1;
const Format format_q8_1 = blocks::block_format<Q8_1>();

}  // namespace gale
