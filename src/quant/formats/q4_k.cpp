#include "quant/blocks.h"
#include "quant/k_scales.h"
#include "quant/two_level.h"

namespace gale {
namespace {

/// 256 columns in 8 groups of 32: f16 d, f16 dmin, 12 bytes with 8 scales and 8 minimums of 6 bits, 128 bytes of codes;
/// value = (d * scale) * q - dmin * minimum. 4.5 bits per weight.
struct Q4K {
  static constexpr std::string_view name = "q4_k";
  static constexpr TensorType type = TensorType::q4_k;
  static constexpr Layout layout{.kind = Layout::Kind::grouped,
                                 .bits = 4,
                                 .group = 32,
                                 .block = 256,
                                 .top = ScaleType::f16,
                                 .sub = ScaleType::u6,
                                 .minimum = true};
  static constexpr int64_t bytes = 144;
  static constexpr int kScales = 4, kCodes = 16;  // offsets

  static bool valid(const std::byte* block) { return blocks::finite_f16(block) && blocks::finite_f16(block + 2); }

  /// 32 bytes hold two groups: the even one in the low halves, the odd one in the high halves.
  static int code(const std::byte* block, int group, int i) {
    return int(block[kCodes + group / 2 * 32 + i]) >> (group % 2 * 4) & 15;
  }

  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block), dmin = blocks::load_f16(block + 2);
    for (int group = 0; group < 8; ++group) {
      const KScale both = get_k_scale(block + kScales, group);
      const float step = d * float(both.scale), low = dmin * float(both.minimum);
      for (int i = 0; i < 32; ++i) *out++ = step * float(code(block, group, i)) - low;
    }
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block);
    *out.top_min = blocks::load_f16(block + 2);
    get_k_scales(block + kScales, out.sub, out.sub_min);
    for (int pair = 0; pair < 4; ++pair) blocks::split_nibbles<32>(block + kCodes + pair * 32, out.codes + pair * 64);
  }

  /// d from 7.75e-5, dmin 7.5 times that: the mean of scale * code is that of 7.5 * minimum, their difference deviates by 258.
  static void draw_scales(uint64_t bits, std::byte* block) {
    blocks::store_u16(block, uint16_t(0x0514 + bits % 64));
    blocks::store_u16(block + 2, uint16_t(0x10c0 + bits / 64 % 64));
  }
  static void join(const blocks::JoinedBlock& from, std::byte* block);

  using Block = two_level::Block<8>;
  static void quantize(const blocks::BlockRow& row);
  static void write(const float* x, const Block& found, std::byte* block);
};

void Q4K::quantize(const blocks::BlockRow& row) { two_level::quantize_affine<Q4K, 15>(row); }

void Q4K::write(const float* x, const Block& found, std::byte* block) {
  uint8_t codes[256];
  int16_t scales[8], minimums[8];
  for (int group = 0; group < 8; ++group) {
    scales[group] = int16_t(found.scale[size_t(group)]), minimums[group] = int16_t(found.minimum[size_t(group)]);
    two_level::encode<32>(x + group * 32, found.step(group), found.low(group), 0, 15, codes + group * 32);
  }
  join({.codes = codes, .top = found.d, .top_min = found.dmin, .sub = scales, .sub_min = minimums}, block);
}

void Q4K::join(const blocks::JoinedBlock& from, std::byte* block) {
  blocks::store_u16(block, f32_to_f16(from.top));
  blocks::store_u16(block + 2, f32_to_f16(from.top_min));
  put_k_scales(from.sub, from.sub_min, block + kScales);
  for (int group = 0; group < 8; group += 2) {
    const uint8_t *even = from.codes + group * 32, *odd = even + 32;
    for (int i = 0; i < 32; ++i) block[kCodes + group * 16 + i] = std::byte(even[i] | odd[i] << 4);
  }
}

}  // namespace

extern const Format format_q4_k;
const Format format_q4_k = blocks::block_format<Q4K>();

}  // namespace gale
