#include "quant/iq4.h"
#include "quant/two_level.h"

namespace gale {
namespace {

/// 256 columns in 8 groups of 32: f16 d, 16 bits with the high 2 bits of the groups' scales, 4 bytes with their low 4 bits, 128
/// bytes of codes as in iq4_nl; value = (d * (scale - 32)) * table[q]. 4.25 bits per weight.
struct Iq4Xs {
  static constexpr std::string_view name = "iq4_xs";
  static constexpr TensorType type = TensorType::iq4_xs;
  static constexpr Layout layout{.kind = Layout::Kind::grouped,
                                 .bits = 4,
                                 .group = 32,
                                 .block = 256,
                                 .top = ScaleType::f16,
                                 .sub = ScaleType::i8,
                                 .table = CodeTable::iq4};
  static constexpr int64_t bytes = 136;
  static constexpr int kHigh = 2, kLow = 4, kCodes = 8;  // offsets

  static bool valid(const std::byte* block) { return blocks::finite_f16(block); }

  static int scale(const std::byte* block, int group) {
    const int low = int(block[kLow + group / 2]) >> (group % 2 * 4) & 15;
    return (low | (blocks::load_u16(block + kHigh) >> (2 * group) & 3) << 4) - 32;
  }

  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block);
    const int8_t* table = table_values(CodeTable::iq4);
    for (int group = 0; group < 8; ++group, out += 32) {
      const float step = d * float(scale(block, group));
      for (int i = 0; i < 16; ++i) {
        const int both = int(block[kCodes + group * 16 + i]);
        out[i] = step * float(table[both & 15]);
        out[i + 16] = step * float(table[both >> 4]);
      }
    }
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block);
    for (int group = 0; group < 8; ++group) {
      out.sub[group] = int16_t(scale(block, group));
      blocks::split_nibbles<16>(block + kCodes + group * 16, out.codes + group * 32);
    }
  }

  /// 1.5e-5 and up: scale * table deviates by 1330.
  static void draw_scales(uint64_t bits, std::byte* block) { blocks::store_u16(block, uint16_t(0x00fc + bits % 64)); }
  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    std::memset(block, 0, size_t(kCodes));
    unsigned high = 0;
    for (int group = 0; group < 8; ++group) {
      const int scale = from.sub[group] + 32;
      block[kLow + group / 2] |= std::byte((scale & 15) << (group % 2 * 4));
      high |= unsigned(scale >> 4) << (2 * group);
      const uint8_t* codes = from.codes + group * 32;
      for (int i = 0; i < 16; ++i) block[kCodes + group * 16 + i] = std::byte(codes[i] | codes[i + 16] << 4);
    }
    blocks::store_u16(block, f32_to_f16(from.top));
    blocks::store_u16(block + kHigh, uint16_t(high));
  }

  using Block = two_level::Block<8>;
  static void quantize(const blocks::BlockRow& row) {
    CodeGroups groups;
    for (int64_t first = 0; first < row.blocks; first += two_level::kTogether<8>) {
      const int64_t n = std::min<int64_t>(row.blocks - first, two_level::kTogether<8>);
      const float *x = row.x + first * 256, *importance = row.importance ? row.importance + first * 256 : nullptr;
      two_level::side_by_side<32, 8>(row.cpu.search, x, importance, n, 0, 0, groups);
      groups.set_table(table_values(CodeTable::iq4));
      const auto found = two_level::search_symmetric<8>(row.cpu.search, groups, 31);
      for (int64_t b = 0; b < n; ++b) write(x + b * 256, found[size_t(b)], row.out + (first + b) * bytes);
    }
  }

  static void write(const float* x, const Block& found, std::byte* block) {
    uint8_t codes[256];
    int16_t scales[8];
    for (int group = 0; group < 8; ++group) {
      scales[group] = int16_t(found.scale[size_t(group)]);
      iq4::encode(x + group * 32, found.step(group), codes + group * 32);
    }
    join({.codes = codes, .top = found.d, .top_min = 0, .sub = scales, .sub_min = nullptr}, block);
  }
};

}  // namespace

extern const Format format_iq4_xs;
const Format format_iq4_xs = blocks::block_format<Iq4Xs>();

}  // namespace gale
