#include "quant/codebook.h"

namespace gale {
namespace {

/// 256 columns in 8 groups of 32: f16 d, then for each group 4 bytes with a point of 8 columns each, and 4 bytes with seven signs
/// of each and, on top, 4 bits s; value = d * (2 s + 1) / 8 * point. 2.0625 bits per weight.
struct Iq2Xxs : iq::Blocks<Iq2Xxs> {
  static constexpr std::string_view name = "iq2_xxs";
  static constexpr TensorType type = TensorType::iq2_xxs;
  static constexpr Layout layout = iq::layout(CodeTable::iq2, 3, 32);
  static constexpr float unit = 0.125f;
  static constexpr int64_t bytes = 66;

  static float d(const std::byte* block) { return blocks::load_f16(block); }
  static uint32_t signs(const std::byte* block, int group) { return iq::load_u32(block + 2 + group * 8 + 4); }
  static int step(const std::byte* block, int group) { return int(signs(block, group) >> 28) * 2 + 1; }
  static void codes(const std::byte* block, uint8_t* out) {
    for (int i = 0; i < 32; ++i, out += 8) {
      const int group = i / 4, point = int(block[2 + group * 8 + i % 4]);
      iq::put_iq2(kGridIq2Xxs[point], iq::eight_signs(signs(block, group) >> (i % 4 * 7) & 127), out);
    }
  }

  /// 3.7e-4 and up.
  static void draw_scales(uint64_t bits, std::byte* block) { blocks::store_u16(block, uint16_t(0x0e24 + bits % 64)); }

  static constexpr bool sized = true;  // so few points for 32 columns: see two_level::with_size()
  static void quantize(const blocks::BlockRow& row) {
    static const codebook::Codebook<8, 3> book(kGridIq2Xxs, CodeTable::iq2);
    codebook::quantize<Iq2Xxs>(book, true, row);
  }

  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    write(codebook::found_again<Iq2Xxs, 8, kGridIq2Xxs>(from), block);
  }

  static void write(const codebook::Found<8>& found, std::byte* block) {
    blocks::store_u16(block, f32_to_f16(found.d));
    for (int group = 0; group < 8; ++group) {
      uint32_t signs = uint32_t(found.s[group]) << 28;
      for (int i = 0; i < 4; ++i) {
        block[2 + group * 8 + i] = std::byte(found.points[group * 4 + i]);
        signs |= uint32_t(found.signs[group * 4 + i] & 127) << (7 * i);
      }
      std::memcpy(block + 2 + group * 8 + 4, &signs, 4);
    }
  }
};

}  // namespace

extern const Format format_iq2_xxs;
const Format format_iq2_xxs = blocks::block_format<Iq2Xxs>();

}  // namespace gale
