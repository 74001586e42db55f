#include "quant/blocks.h"
#include "quant/k_scales.h"
#include "quant/two_level.h"

namespace gale {
namespace {

/// 256 columns in 8 groups of 32: f16 d, f16 dmin, 12 bytes with 8 scales and 8 minimums of 6 bits, 32 bytes with the high bits
/// of the codes, 128 bytes with their low 4 bits; value = (d * scale) * q - dmin * minimum. 5.5 bits per weight.
struct Q5K {
  static constexpr std::string_view name = "q5_k";
  static constexpr TensorType type = TensorType::q5_k;
  static constexpr Layout layout{.kind = Layout::Kind::grouped,
                                 .bits = 5,
                                 .group = 32,
                                 .block = 256,
                                 .top = ScaleType::f16,
                                 .sub = ScaleType::u6,
                                 .minimum = true};
  static constexpr int64_t bytes = 176;
  static constexpr int kScales = 4, kHigh = 16, kLow = 48;  // offsets

  static bool valid(const std::byte* block) { return blocks::finite_f16(block) && blocks::finite_f16(block + 2); }

  /// 32 bytes of low bits hold two groups: the even one in the low halves, the odd one in the high halves. The high bit of column
  /// i of group g is bit g of byte i.
  static void codes(const std::byte* block, int group, uint8_t* out) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(block);
    const uint8_t *low = bytes + kLow + group / 2 * 32, *high = bytes + kHigh;
    const int shift = group % 2 * 4;
    for (int i = 0; i < 32; ++i) out[i] = uint8_t((low[i] >> shift & 15) | (high[i] >> group & 1) << 4);
  }

  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block), dmin = blocks::load_f16(block + 2);
    for (int group = 0; group < 8; ++group) {
      const KScale both = get_k_scale(block + kScales, group);
      const float step = d * float(both.scale), low = dmin * float(both.minimum);
      uint8_t code[32];
      codes(block, group, code);
      for (int i = 0; i < 32; ++i) *out++ = step * float(code[i]) - low;
    }
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block);
    *out.top_min = blocks::load_f16(block + 2);
    get_k_scales(block + kScales, out.sub, out.sub_min);
    for (int group = 0; group < 8; ++group) codes(block, group, out.codes + group * 32);
  }

  /// d from 3.75e-5, dmin 15.5 times that: the mean of scale * code is that of 15.5 * minimum, their difference deviates by 533.
  static void draw_scales(uint64_t bits, std::byte* block) {
    blocks::store_u16(block, uint16_t(0x0275 + bits % 64));
    blocks::store_u16(block + 2, uint16_t(0x10c4 + bits / 64 % 64));
  }
  static void join(const blocks::JoinedBlock& from, std::byte* block);

  using Block = two_level::Block<8>;
  static void quantize(const blocks::BlockRow& row);
  static void write(const float* x, const Block& found, std::byte* block);
};

void Q5K::quantize(const blocks::BlockRow& row) { two_level::quantize_affine<Q5K, 31>(row); }

void Q5K::write(const float* x, const Block& found, std::byte* block) {
  uint8_t codes[256];
  int16_t scales[8], minimums[8];
  for (int group = 0; group < 8; ++group) {
    scales[group] = int16_t(found.scale[size_t(group)]), minimums[group] = int16_t(found.minimum[size_t(group)]);
    two_level::encode<32>(x + group * 32, found.step(group), found.low(group), 0, 31, codes + group * 32);
  }
  join({.codes = codes, .top = found.d, .top_min = found.dmin, .sub = scales, .sub_min = minimums}, block);
}

void Q5K::join(const blocks::JoinedBlock& from, std::byte* block) {
  blocks::store_u16(block, f32_to_f16(from.top));
  blocks::store_u16(block + 2, f32_to_f16(from.top_min));
  put_k_scales(from.sub, from.sub_min, block + kScales);
  std::memset(block + kHigh, 0, size_t(bytes - kHigh));
  for (int group = 0; group < 8; ++group)
    for (int i = 0; i < 32; ++i) {
      const uint8_t code = from.codes[group * 32 + i];
      block[kLow + group / 2 * 32 + i] |= std::byte((code & 15) << (group % 2 * 4));
      block[kHigh + i] |= std::byte(code >> 4 << group);
    }
}

}  // namespace

extern const Format format_q5_k;
const Format format_q5_k = blocks::block_format<Q5K>();

}  // namespace gale
