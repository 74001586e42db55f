#include "quant/codebook.h"

namespace gale {
namespace {

/// 256 columns in 8 groups of 32: f16 d, 64 bytes with a point of 4 columns each, then for each group 4 bytes with seven signs of
/// every 8 columns and, on top, 4 bits s; value = d * (2 s + 1) / 4 * point. 3.0625 bits per weight.
struct Iq3Xxs : iq::Blocks<Iq3Xxs> {
  static constexpr std::string_view name = "iq3_xxs";
  static constexpr TensorType type = TensorType::iq3_xxs;
  static constexpr Layout layout = iq::layout(CodeTable::iq3_xxs, 4, 32);
  static constexpr float unit = 0.5f;  // the table has the halves of the points
  static constexpr int64_t bytes = 98;
  static constexpr int kPoints = 2, kSigns = 66;  // offsets

  static float d(const std::byte* block) { return blocks::load_f16(block); }
  static uint32_t signs(const std::byte* block, int group) { return iq::load_u32(block + kSigns + group * 4); }
  static int step(const std::byte* block, int group) { return int(signs(block, group) >> 28) * 2 + 1; }
  static void codes(const std::byte* block, uint8_t* out) {
    for (int i = 0; i < 64; ++i, out += 4) {
      const unsigned eight = iq::eight_signs(signs(block, i / 8) >> (i / 2 % 4 * 7) & 127);
      iq::put_iq3(kGridIq3Xxs[int(block[kPoints + i])], eight >> (i % 2 * 4), out);
    }
  }

  /// 1.4e-4 and up.
  static void draw_scales(uint64_t bits, std::byte* block) { blocks::store_u16(block, uint16_t(0x089f + bits % 64)); }

  static constexpr bool sized = true;  // so few points for 32 columns: see two_level::with_size()
  static void quantize(const blocks::BlockRow& row) {
    static const codebook::Codebook<4, 8> book(kGridIq3Xxs, CodeTable::iq3_xxs);
    codebook::quantize<Iq3Xxs>(book, true, row);
  }

  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    write(codebook::found_again<Iq3Xxs, 4, kGridIq3Xxs>(from), block);
  }

  static void write(const codebook::Found<4>& found, std::byte* block) {
    blocks::store_u16(block, f32_to_f16(found.d));
    for (int i = 0; i < 64; ++i) block[kPoints + i] = std::byte(found.points[i]);
    for (int group = 0; group < 8; ++group) {
      uint32_t signs = uint32_t(found.s[group]) << 28;
      for (int i = 0; i < 4; ++i) signs |= uint32_t(found.signs[group * 4 + i] & 127) << (7 * i);
      std::memcpy(block + kSigns + group * 4, &signs, 4);
    }
  }
};

}  // namespace

extern const Format format_iq3_xxs;
const Format format_iq3_xxs = blocks::block_format<Iq3Xxs>();

}  // namespace gale
