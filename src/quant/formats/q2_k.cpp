#include "quant/blocks.h"
#include "quant/two_level.h"

namespace gale {
namespace {

/// 256 columns in 16 groups of 16: 16 bytes with the scale of a group in the low half and its minimum in the high one, 64 bytes
/// of codes, f16 d, f16 dmin; value = (d * scale) * q - dmin * minimum. 2.625 bits per weight.
struct Q2K {
  static constexpr std::string_view name = "q2_k";
  static constexpr TensorType type = TensorType::q2_k;
  static constexpr Layout layout{.kind = Layout::Kind::grouped,
                                 .bits = 2,
                                 .group = 16,
                                 .block = 256,
                                 .top = ScaleType::f16,
                                 .sub = ScaleType::u4,
                                 .minimum = true};
  static constexpr int64_t bytes = 84;
  static constexpr int kCodes = 16, kTop = 80, kTopMin = 82;  // offsets

  static bool valid(const std::byte* block) { return blocks::finite_f16(block + kTop) && blocks::finite_f16(block + kTopMin); }

  /// Each half of the block is 128 columns in 32 bytes: column i of quarter k at bit 2k of byte i.
  static void codes(const std::byte* block, uint8_t* out) {
    for (int half = 0; half < 2; ++half, out += 128) {
      uint8_t four[32];  // a copy: see blocks::split_nibbles()
      std::memcpy(four, block + kCodes + half * 32, 32);
      for (int k = 0; k < 4; ++k)
        for (int i = 0; i < 32; ++i) out[k * 32 + i] = four[i] >> (2 * k) & 3;
    }
  }

  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block + kTop), dmin = blocks::load_f16(block + kTopMin);
    uint8_t code[256];
    codes(block, code);
    for (int i = 0; i < 256; ++i) {
      const int both = int(block[i / 16]);
      const float step = d * float(both & 15), low = dmin * float(both >> 4);
      out[i] = step * float(code[i]) - low;
    }
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block + kTop);
    *out.top_min = blocks::load_f16(block + kTopMin);
    for (int group = 0; group < 16; ++group) {
      out.sub[group] = int16_t(int(block[group]) & 15);
      out.sub_min[group] = int16_t(int(block[group]) >> 4);
    }
    codes(block, out.codes);
  }

  /// d from 1.42e-3, dmin 1.5 times that: the mean of scale * code is that of 1.5 * minimum, their difference deviates by 14.1.
  static void draw_scales(uint64_t bits, std::byte* block) {
    blocks::store_u16(block + kTop, uint16_t(0x15d1 + bits % 64));
    blocks::store_u16(block + kTopMin, f32_to_f16(1.5f * blocks::load_f16(block + kTop)));
  }
  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    for (int group = 0; group < 16; ++group) block[group] = std::byte(from.sub[group] | from.sub_min[group] << 4);
    for (int half = 0; half < 2; ++half) {
      const uint8_t* quarter = from.codes + half * 128;  // four of 32 columns
      for (int i = 0; i < 32; ++i)
        block[kCodes + half * 32 + i] =
            std::byte(quarter[i] | quarter[i + 32] << 2 | quarter[i + 64] << 4 | quarter[i + 96] << 6);
    }
    blocks::store_u16(block + kTop, f32_to_f16(from.top));
    blocks::store_u16(block + kTopMin, f32_to_f16(from.top_min));
  }

  using Block = two_level::Block<16>;
  static void quantize(const blocks::BlockRow& row) {
    CodeGroups groups;
    for (int64_t i = 0; i < row.blocks; ++i) {
      const float* x = row.x + i * 256;
      float importance[256];
      if (row.importance) two_level::with_size<256>(x, row.importance + i * 256, importance, true);
      two_level::side_by_side<16, 16>(row.cpu.search, x, row.importance ? importance : nullptr, 1, 0, 3, groups);
      write(x, two_level::search_affine<16>(row.cpu.search, groups, 15).front(), row.out + i * bytes);
    }
  }

  static void write(const float* x, const Block& found, std::byte* block) {
    uint8_t code[256];
    int16_t scales[16], minimums[16];
    for (int group = 0; group < 16; ++group) {
      scales[group] = int16_t(found.scale[size_t(group)]), minimums[group] = int16_t(found.minimum[size_t(group)]);
      two_level::encode<16>(x + group * 16, found.step(group), found.low(group), 0, 3, code + group * 16);
    }
    join({.codes = code, .top = found.d, .top_min = found.dmin, .sub = scales, .sub_min = minimums}, block);
  }
};

}  // namespace

extern const Format format_q2_k;
const Format format_q2_k = blocks::block_format<Q2K>();

}  // namespace gale
