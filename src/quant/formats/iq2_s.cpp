#include "quant/codebook.h"

namespace gale {
namespace {

/// 256 columns in 16 groups of 16: f16 d, 32 bytes with the low bits of points of 8 columns, 32 bytes with their signs, 8 bytes
/// with the high 2 bits of four points each, 8 bytes with s of a group in each half; value = d * (2 s + 1) / 8 * point. 2.5625
/// bits per weight.
struct Iq2S : iq::Blocks<Iq2S> {
  static constexpr std::string_view name = "iq2_s";
  static constexpr TensorType type = TensorType::iq2_s;
  static constexpr Layout layout = iq::layout(CodeTable::iq2, 3, 16);
  static constexpr float unit = 0.125f;
  static constexpr int64_t bytes = 82;
  static constexpr int kPoints = 2, kSigns = 34, kHigh = 66, kScales = 74;  // offsets

  static float d(const std::byte* block) { return blocks::load_f16(block); }
  static int step(const std::byte* block, int group) { return iq::half_of(block + kScales, group) * 2 + 1; }
  static void codes(const std::byte* block, uint8_t* out) {
    for (int i = 0; i < 32; ++i, out += 8) {
      const int high = int(block[kHigh + i / 4]) >> (i % 4 * 2) & 3;
      iq::put_iq2(kGridIq2S[int(block[kPoints + i]) | high << 8], unsigned(block[kSigns + i]), out);
    }
  }

  /// 3.6e-4 and up.
  static void draw_scales(uint64_t bits, std::byte* block) { blocks::store_u16(block, uint16_t(0x0dd1 + bits % 64)); }

  static void quantize(const blocks::BlockRow& row) {
    static const codebook::Codebook<8, 3> book(kGridIq2S, CodeTable::iq2);
    codebook::quantize<Iq2S>(book, false, row);
  }

  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    write(codebook::found_again<Iq2S, 8, kGridIq2S>(from), block);
  }

  static void write(const codebook::Found<8>& found, std::byte* block) {
    std::memset(block, 0, size_t(bytes));
    blocks::store_u16(block, f32_to_f16(found.d));
    for (int i = 0; i < 32; ++i) {
      block[kPoints + i] = std::byte(found.points[i] & 255);
      block[kSigns + i] = std::byte(found.signs[i]);
      block[kHigh + i / 4] |= std::byte(found.points[i] >> 8 << (i % 4 * 2));
    }
    for (int i = 0; i < 8; ++i) block[kScales + i] = std::byte(found.s[2 * i] | found.s[2 * i + 1] << 4);
  }
};

}  // namespace

extern const Format format_iq2_s;
const Format format_iq2_s = blocks::block_format<Iq2S>();

}  // namespace gale
