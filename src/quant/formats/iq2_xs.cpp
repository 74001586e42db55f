#include "quant/codebook.h"

namespace gale {
namespace {

/// 256 columns in 16 groups of 16: f16 d, 32 words of 16 bits with a point of 8 columns in 9 bits and seven signs, 8 bytes with s
/// of a group in each half; value = d * (2 s + 1) / 8 * point. 2.3125 bits per weight.
struct Iq2Xs : iq::Blocks<Iq2Xs> {
  static constexpr std::string_view name = "iq2_xs";
  static constexpr TensorType type = TensorType::iq2_xs;
  static constexpr Layout layout = iq::layout(CodeTable::iq2, 3, 16);
  static constexpr float unit = 0.125f;
  static constexpr int64_t bytes = 74;
  static constexpr int kPoints = 2, kScales = 66;  // offsets

  static float d(const std::byte* block) { return blocks::load_f16(block); }
  static int step(const std::byte* block, int group) { return iq::half_of(block + kScales, group) * 2 + 1; }
  static void codes(const std::byte* block, uint8_t* out) {
    for (int i = 0; i < 32; ++i, out += 8) {
      const unsigned word = blocks::load_u16(block + kPoints + i * 2);
      iq::put_iq2(kGridIq2Xs[word & 511], iq::eight_signs(word >> 9), out);
    }
  }

  /// 3.6e-4 and up.
  static void draw_scales(uint64_t bits, std::byte* block) { blocks::store_u16(block, uint16_t(0x0de1 + bits % 64)); }

  static void quantize(const blocks::BlockRow& row) {
    static const codebook::Codebook<8, 3> book(kGridIq2Xs, CodeTable::iq2);
    codebook::quantize<Iq2Xs>(book, true, row);
  }

  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    write(codebook::found_again<Iq2Xs, 8, kGridIq2Xs>(from), block);
  }

  static void write(const codebook::Found<8>& found, std::byte* block) {
    blocks::store_u16(block, f32_to_f16(found.d));
    for (int i = 0; i < 32; ++i)
      blocks::store_u16(block + kPoints + i * 2, uint16_t(found.points[i] | (found.signs[i] & 127) << 9));
    for (int i = 0; i < 8; ++i) block[kScales + i] = std::byte(found.s[2 * i] | found.s[2 * i + 1] << 4);
  }
};

}  // namespace

extern const Format format_iq2_xs;
const Format format_iq2_xs = blocks::block_format<Iq2Xs>();

}  // namespace gale
