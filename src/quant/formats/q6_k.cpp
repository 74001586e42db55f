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
  static void join(const blocks::JoinedBlock& from, std::byte* block);

  using Block = two_level::Block<16>;
  static void quantize(const blocks::BlockRow& row);
  static void write(const float* x, const Block& found, std::byte* block);
};

void Q6K::quantize(const blocks::BlockRow& row) {
  CodeGroups groups;
  for (int64_t i = 0; i < row.blocks; ++i) {
    const float *x = row.x + i * 256, *importance = row.importance ? row.importance + i * 256 : nullptr;
    two_level::side_by_side<16, 16>(row.cpu.search, x, importance, 1, -32, 31, groups);
    write(x, two_level::search_symmetric<16>(row.cpu.search, groups, 127).front(), row.out + i * bytes);
  }
}

void Q6K::write(const float* x, const Block& found, std::byte* block) {
  uint8_t code[256];
  int16_t scales[16];
  for (int group = 0; group < 16; ++group) {
    scales[group] = int16_t(found.scale[size_t(group)]);
    int8_t codes[16];
    two_level::encode<16>(x + group * 16, found.step(group), 0, -32, 31, codes);
    for (int i = 0; i < 16; ++i) code[group * 16 + i] = uint8_t(codes[i] + 32);
  }
  join({.codes = code, .top = found.d, .top_min = 0, .sub = scales, .sub_min = nullptr}, block);
}

void Q6K::join(const blocks::JoinedBlock& from, std::byte* block) {
  for (int group = 0; group < 16; ++group) block[kScales + group] = std::byte(from.sub[group]);
  for (int half = 0; half < 2; ++half) {
    const uint8_t* quarter = from.codes + half * 128;  // four of 32 columns
    for (int i = 0; i < 32; ++i) {
      const int q[4] = {quarter[i], quarter[i + 32], quarter[i + 64], quarter[i + 96]};
      block[half * 64 + i] = std::byte((q[0] & 15) | (q[2] & 15) << 4);
      block[half * 64 + 32 + i] = std::byte((q[1] & 15) | (q[3] & 15) << 4);
      block[kHigh + half * 32 + i] = std::byte(q[0] >> 4 | q[1] >> 4 << 2 | q[2] >> 4 << 4 | q[3] >> 4 << 6);
    }
  }
  blocks::store_u16(block + kTop, f32_to_f16(from.top));
}

}  // namespace

extern const Format format_q6_k;
const Format format_q6_k = blocks::block_format<Q6K>();

}  // namespace gale
