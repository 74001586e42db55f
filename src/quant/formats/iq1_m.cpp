#include "quant/iq.h"

namespace gale {
namespace {

/// 256 columns in 16 groups of 16: 32 bytes with the low bits of points of 8 columns, 16 bytes with a half for each point: its
/// high 3 bits, and whether it is moved an eighth down or up; then 4 words of 16 bits with 3 bits s of four groups each and, on
/// top, 4 bits of an f16 d; value = d * (2 s + 1) * (point +- 1/8). 1.75 bits per weight.
struct Iq1M : iq::Blocks<Iq1M> {
  static constexpr std::string_view name = "iq1_m";
  static constexpr TensorType type = TensorType::iq1_m;
  static constexpr Layout layout = iq::layout(CodeTable::iq1, 3, 16);
  static constexpr float unit = 0.125f;
  static constexpr int64_t bytes = 56;
  static constexpr int kHigh = 32, kScales = 48;  // offsets

  static int word(const std::byte* block, int i) { return blocks::load_u16(block + kScales + i * 2); }
  static float d(const std::byte* block) {
    int bits = 0;
    for (int i = 0; i < 4; ++i) bits |= word(block, i) >> 12 << (4 * i);
    return f16_to_f32(uint16_t(bits));
  }
  static int step(const std::byte* block, int group) { return (word(block, group / 4) >> (group % 4 * 3) & 7) * 2 + 1; }
  static void codes(const std::byte* block, uint8_t* out) {
    for (int i = 0; i < 32; ++i, out += 8) {
      const int high = iq::half_of(block + kHigh, i);
      iq::put_iq1(kGridIq1[int(block[i]) | (high & 7) << 8], (high & 8) != 0, out);
    }
  }
  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    std::memset(block, 0, size_t(bytes));
    const int d = f32_to_f16(from.top / unit);
    for (int i = 0; i < 32; ++i) {
      const int point = iq::number_of<kGridIq1>(iq::iq1_point(from.codes + i * 8));
      block[i] = std::byte(point & 255);
      block[kHigh + i / 2] |= std::byte((point >> 8 | (from.codes[i * 8] & 1 ? 0 : 8)) << (i % 2 * 4));
    }
    for (int i = 0; i < 4; ++i) {
      int word = (d >> (4 * i) & 15) << 12;
      for (int g = 0; g < 4; ++g) word |= from.sub[i * 4 + g] / 2 << (g * 3);
      blocks::store_u16(block + kScales + i * 2, uint16_t(word));
    }
  }
};

}  // namespace

extern const Format format_iq1_m;
const Format format_iq1_m = blocks::block_format<Iq1M>();

}  // namespace gale
