#include "quant/blocks.h"
#include "quant/two_level.h"

namespace gale {
namespace {

/// 256 columns in 16 groups of 16: 128 bytes with the low 4 bits of the codes, 64 bytes with their high 2 bits, 16 signed bytes
/// of scales, f16 d; value = (d * scale) * (q - 32). 6.5625 bits per weight.
struct Q6K {
  static constexpr std::string_view name = "q6_k";
  static constexpr TensorType type = TensorType::q6_k;
  static constexpr Layout layout{.kind = Layout::Kind::grouped,
                                 .bits = 6,
                                 .group = 16,
                                 .block = 256,
                                 .top = ScaleType::f16,
                                 .sub = ScaleType::i8,
                                 .bias = 32};
  static constexpr int64_t bytes = 210;
  static constexpr int kHigh = 128, kScales = 192, kTop = 208;  // offsets

  static bool valid(const std::byte* block) { return blocks::finite_f16(block + kTop); }

  /// Each half of the block is 128 columns: quarter k of it has its low bits in the low (k < 2) or high halves of 32 bytes, the
  /// odd quarters in the second 32, and its high bits at bit 2k of 32 shared bytes.
  static void codes(const std::byte* block, uint8_t* out) {
    for (int half = 0; half < 2; ++half, out += 128) {
      uint8_t low[64], high[32];  // copies: see blocks::split_nibbles()
      std::memcpy(low, block + half * 64, 64);
      std::memcpy(high, block + kHigh + half * 32, 32);
      for (int i = 0; i < 32; ++i) out[i] = (low[i] & 15) | (high[i] << 4 & 0x30);
      for (int i = 0; i < 32; ++i) out[32 + i] = (low[32 + i] & 15) | (high[i] << 2 & 0x30);
      for (int i = 0; i < 32; ++i) out[64 + i] = low[i] >> 4 | (high[i] & 0x30);
      for (int i = 0; i < 32; ++i) out[96 + i] = low[32 + i] >> 4 | (high[i] >> 2 & 0x30);
    }
  }

  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block + kTop);
    uint8_t code[256];
    codes(block, code);
    for (int i = 0; i < 256; ++i) out[i] = d * float(int8_t(block[kScales + i / 16])) * float(int(code[i]) - 32);
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block + kTop);
    int8_t scales[16];
    std::memcpy(scales, block + kScales, 16);
    for (int group = 0; group < 16; ++group) out.sub[group] = scales[group];
    codes(block, out.codes);
  }

  /// 1.46e-5 and up: scale * code deviates by 1365.
  static void draw_scales(uint64_t bits, std::byte* block) { blocks::store_u16(block + kTop, uint16_t(0x00f5 + bits % 64)); }

  static void quantize(const float* x, const float* importance, std::byte* block);
};

void Q6K::quantize(const float* x, const float* importance, std::byte* block) {
  float weights[256];
  blocks::weigh(x, importance, 256, weights);
  const auto found = search::symmetric_block<16, 16>(x, weights, -32, 31);
  std::memset(block, 0, kScales);
  for (int group = 0; group < 16; ++group) {
    block[kScales + group] = std::byte(found.scale[group]);
    int8_t codes[16];
    search::encode<16>(x + group * 16, found.d * float(found.scale[group]), 0, -32, 31, codes);
    for (int i = 0; i < 16; ++i) {
      const int column = group * 16 + i, half = column / 128, quarter = column / 32 % 4, q = codes[i] + 32;
      block[half * 64 + quarter % 2 * 32 + column % 32] |= std::byte((q & 15) << (quarter / 2 * 4));
      block[kHigh + half * 32 + column % 32] |= std::byte(q >> 4 << (quarter * 2));
    }
  }
  blocks::store_u16(block + kTop, f32_to_f16(found.d));
}

}  // namespace

extern const Format format_q6_k;
const Format format_q6_k = blocks::block_format<Q6K>();

}  // namespace gale
