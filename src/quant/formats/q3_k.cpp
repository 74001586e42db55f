#include "quant/blocks.h"
#include "quant/two_level.h"

namespace gale {
namespace {

/// 256 columns in 16 groups of 16: 32 bytes with the high bits of the codes, 64 bytes with their low 2 bits, 12 bytes with 16
/// scales of 6 bits, f16 d; value = (d * (scale - 32)) * (q - 4). 3.4375 bits per weight.
struct Q3K {
  static constexpr std::string_view name = "q3_k";
  static constexpr TensorType type = TensorType::q3_k;
  static constexpr Layout layout{.kind = Layout::Kind::grouped,
                                 .bits = 3,
                                 .group = 16,
                                 .block = 256,
                                 .top = ScaleType::f16,
                                 .sub = ScaleType::i8,
                                 .bias = 4};
  static constexpr int64_t bytes = 110;
  static constexpr int kLow = 32, kScales = 96, kTop = 108;  // offsets

  static bool valid(const std::byte* block) { return blocks::finite_f16(block + kTop); }

  /// Each half of the block is 128 columns: column i of quarter k has its low bits at bit 2k of byte i of 32, and its high bit in
  /// byte i of the 32 that both halves share, at bit k or 4 + k.
  static void codes(const std::byte* block, uint8_t* out) {
    uint8_t high[32], low[32];  // copies: see blocks::split_nibbles()
    std::memcpy(high, block, 32);
    for (int half = 0; half < 2; ++half, out += 128) {
      std::memcpy(low, block + kLow + half * 32, 32);
      for (int k = 0; k < 4; ++k)
        for (int i = 0; i < 32; ++i) out[k * 32 + i] = uint8_t((low[i] >> (2 * k) & 3) | (high[i] >> (half * 4 + k) & 1) << 2);
    }
  }

  /// The low 4 bits of scales 0-7 and 8-15 are the halves of 8 bytes; the high 2 bits of scale g are in byte 8 + g mod 4 at bit
  /// 2 (g / 4).
  static int scale(const std::byte* block, int group) {
    const std::byte* packed = block + kScales;
    const int low = int(packed[group % 8]) >> (group / 8 * 4) & 15, high = int(packed[8 + group % 4]) >> (group / 4 * 2) & 3;
    return (low | high << 4) - 32;
  }

  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block + kTop);
    uint8_t code[256];
    codes(block, code);
    for (int i = 0; i < 256; ++i) out[i] = d * float(scale(block, i / 16)) * float(int(code[i]) - 4);
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block + kTop);
    for (int group = 0; group < 16; ++group) out.sub[group] = int16_t(scale(block, group));
    codes(block, out.codes);
  }

  /// 4.6e-4 and up: scale * code deviates by 43.
  static void draw_scales(uint64_t bits, std::byte* block) { blocks::store_u16(block + kTop, uint16_t(0x0f89 + bits % 64)); }
  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    std::memset(block, 0, size_t(bytes));
    for (int group = 0; group < 16; ++group) {
      const int scale = from.sub[group] + 32;
      block[kScales + group % 8] |= std::byte((scale & 15) << (group / 8 * 4));
      block[kScales + 8 + group % 4] |= std::byte(scale >> 4 << (group / 4 * 2));
      const int half = group / 8, quarter = group / 2 % 4, first = group % 2 * 16;
      for (int i = 0; i < 16; ++i) {
        const int code = from.codes[group * 16 + i];
        block[first + i] |= std::byte(code >> 2 << (half * 4 + quarter));
        block[kLow + half * 32 + first + i] |= std::byte((code & 3) << (quarter * 2));
      }
    }
    blocks::store_u16(block + kTop, f32_to_f16(from.top));
  }

  using Block = two_level::Block<16>;
  static void quantize(const blocks::BlockRow& row) {
    CodeGroups groups;
    for (int64_t i = 0; i < row.blocks; ++i) {
      const float *x = row.x + i * 256, *importance = row.importance ? row.importance + i * 256 : nullptr;
      two_level::side_by_side<16, 16>(row.cpu.search, x, importance, 1, -4, 3, groups);
      write(x, two_level::search_symmetric<16>(row.cpu.search, groups, 31).front(), row.out + i * bytes);
    }
  }

  static void write(const float* x, const Block& found, std::byte* block) {
    uint8_t codes[256];
    int16_t scales[16];
    for (int group = 0; group < 16; ++group) {
      scales[group] = int16_t(found.scale[size_t(group)]);
      int8_t own[16];
      two_level::encode<16>(x + group * 16, found.step(group), 0, -4, 3, own);
      for (int i = 0; i < 16; ++i) codes[group * 16 + i] = uint8_t(own[i] + 4);
    }
    join({.codes = codes, .top = found.d, .top_min = 0, .sub = scales, .sub_min = nullptr}, block);
  }
};

}  // namespace

extern const Format format_q3_k;
const Format format_q3_k = blocks::block_format<Q3K>();

}  // namespace gale
