#include "quant/iq.h"

namespace gale {
namespace {

/// 256 columns in 8 groups of 32: f16 d, 32 bytes with the low bits of points of 8 columns, then for each group 16 bits: the high
/// 3 bits of four points, 3 bits s, and whether the points are moved an eighth down or up; value = d * (2 s + 1) * (point +-
/// 1/8). 1.5625 bits per weight.
struct Iq1S : iq::Blocks<Iq1S> {
  static constexpr std::string_view name = "iq1_s";
  static constexpr TensorType type = TensorType::iq1_s;
  static constexpr Layout layout = iq::layout(CodeTable::iq1, 3, 32);
  static constexpr float unit = 0.125f;
  static constexpr int64_t bytes = 50;
  static constexpr int kPoints = 2, kHigh = 34;  // offsets

  static float d(const std::byte* block) { return blocks::load_f16(block); }
  static int high(const std::byte* block, int group) { return blocks::load_u16(block + kHigh + group * 2); }
  static int step(const std::byte* block, int group) { return (high(block, group) >> 12 & 7) * 2 + 1; }
  static void codes(const std::byte* block, uint8_t* out) {
    for (int i = 0; i < 32; ++i, out += 8) {
      const int word = high(block, i / 4), point = int(block[kPoints + i]) | (word >> (i % 4 * 3) & 7) << 8;
      iq::put_iq1(kGridIq1[point], word >> 15 != 0, out);
    }
  }
  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    blocks::store_u16(block, f32_to_f16(from.top / unit));
    for (int group = 0; group < 8; ++group) {
      int word = from.sub[group] / 2 << 12 | (from.codes[group * 32] & 1 ? 0 : 0x8000);
      for (int i = 0; i < 4; ++i) {
        const int point = iq::number_of<kGridIq1>(iq::iq1_point(from.codes + group * 32 + i * 8));
        block[kPoints + group * 4 + i] = std::byte(point & 255);
        word |= point >> 8 << (i * 3);
      }
      blocks::store_u16(block + kHigh + group * 2, uint16_t(word));
    }
  }
};

}  // namespace

extern const Format format_iq1_s;
const Format format_iq1_s = blocks::block_format<Iq1S>();

}  // namespace gale
