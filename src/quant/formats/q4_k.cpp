#include "quant/blocks.h"
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

  /// Groups 0-3: the low 6 bits of bytes 0-3 (scale) and 4-7 (minimum). Groups 4-7: the halves of bytes 8-11 below the top 2 bits
  /// of those bytes.
  static void scale_and_minimum(const std::byte* block, int group, int& scale, int& minimum) {
    const std::byte* p = block + kScales;
    if (group < 4) {
      scale = int(p[group]) & 63;
      minimum = int(p[group + 4]) & 63;
    } else {
      scale = (int(p[group + 4]) & 15) | int(p[group - 4]) >> 6 << 4;
      minimum = int(p[group + 4]) >> 4 | int(p[group]) >> 6 << 4;
    }
  }

  /// 32 bytes hold two groups: the even one in the low halves, the odd one in the high halves.
  static int code(const std::byte* block, int group, int i) {
    return int(block[kCodes + group / 2 * 32 + i]) >> (group % 2 * 4) & 15;
  }

  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block), dmin = blocks::load_f16(block + 2);
    for (int group = 0; group < 8; ++group) {
      int scale, minimum;
      scale_and_minimum(block, group, scale, minimum);
      const float step = d * float(scale), low = dmin * float(minimum);
      for (int i = 0; i < 32; ++i) *out++ = step * float(code(block, group, i)) - low;
    }
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block);
    *out.top_min = blocks::load_f16(block + 2);
    split_scales(block + kScales, out.sub, out.sub_min);
    for (int pair = 0; pair < 4; ++pair) blocks::split_nibbles<32>(block + kCodes + pair * 32, out.codes + pair * 64);
  }

  /// scale_and_minimum() of all eight groups, four bytes at a time.
  static void split_scales(const std::byte* packed, int16_t* scales, int16_t* minimums) {
    uint32_t words[3];
    std::memcpy(words, packed, sizeof words);
    constexpr uint32_t kSix = 0x3f3f3f3f, kFour = 0x0f0f0f0f, kTop = 0x30303030;
    const uint32_t s[2] = {words[0] & kSix, (words[2] & kFour) | (words[0] >> 2 & kTop)};
    const uint32_t m[2] = {words[1] & kSix, (words[2] >> 4 & kFour) | (words[1] >> 2 & kTop)};
    uint8_t bytes[2][8];
    std::memcpy(bytes[0], s, 8);
    std::memcpy(bytes[1], m, 8);
    for (int i = 0; i < 8; ++i) scales[i] = bytes[0][i];
    for (int i = 0; i < 8; ++i) minimums[i] = bytes[1][i];
  }

  /// d from 7.75e-5, dmin 7.5 times that: the mean of scale * code is that of 7.5 * minimum, their difference deviates by 258.
  static void draw_scales(uint64_t bits, std::byte* block) {
    blocks::store_u16(block, uint16_t(0x0514 + bits % 64));
    blocks::store_u16(block + 2, uint16_t(0x10c0 + bits / 64 % 64));
  }

  using Block = two_level::Block<8>;
  static void quantize(const blocks::BlockRow& row);
  static void write(const float* x, const Block& found, std::byte* block);
};

void Q4K::quantize(const blocks::BlockRow& row) {
  constexpr int kTogether = two_level::kTogether<8>;
  CodeGroups groups;
  for (int64_t first = 0; first < row.blocks; first += kTogether) {
    const int64_t n = std::min<int64_t>(row.blocks - first, kTogether);
    const float *x = row.x + first * 256, *importance = row.importance ? row.importance + first * 256 : nullptr;
    two_level::side_by_side<32, 8>(row.cpu.search, x, importance, n, 0, 15, groups);
    const auto found = two_level::search_affine<8>(row.cpu.search, groups, 63);
    for (int64_t b = 0; b < n; ++b) write(x + b * 256, found[size_t(b)], row.out + (first + b) * bytes);
  }
}

void Q4K::write(const float* x, const Block& found, std::byte* block) {
  blocks::store_u16(block, f32_to_f16(found.d));
  blocks::store_u16(block + 2, f32_to_f16(found.dmin));
  std::byte* packed = block + kScales;
  for (size_t group = 0; group < 4; ++group) {
    const int s = int(found.scale[group]), m = int(found.minimum[group]);
    const int later_s = int(found.scale[group + 4]), later_m = int(found.minimum[group + 4]);
    packed[group] = std::byte(s | later_s >> 4 << 6);
    packed[group + 4] = std::byte(m | later_m >> 4 << 6);
    packed[group + 8] = std::byte((later_s & 15) | (later_m & 15) << 4);
  }
  for (int group = 0; group < 8; group += 2) {
    uint8_t even[32], odd[32];
    two_level::encode<32>(x + group * 32, found.step(group), found.low(group), 0, 15, even);
    two_level::encode<32>(x + group * 32 + 32, found.step(group + 1), found.low(group + 1), 0, 15, odd);
    for (int i = 0; i < 32; ++i) block[kCodes + group * 16 + i] = std::byte(even[i] | odd[i] << 4);
  }
}

}  // namespace

extern const Format format_q4_k;
const Format format_q4_k = blocks::block_format<Q4K>();

}  // namespace gale
