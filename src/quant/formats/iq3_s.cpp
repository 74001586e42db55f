#include "quant/codebook.h"

namespace gale {
namespace {

/// 256 columns in 8 groups of 32: f16 d, 64 bytes with the low bits of points of 4 columns, 8 bytes with their ninth bits, 32
/// bytes of signs, 4 bytes with s of a group in each half; value = d * (2 s + 1) * point. 3.4375 bits per weight.
struct Iq3S : iq::Blocks<Iq3S> {
  static constexpr std::string_view name = "iq3_s";
  static constexpr TensorType type = TensorType::iq3_s;
  static constexpr Layout layout = iq::layout(CodeTable::iq3_s, 4, 32);
  static constexpr float unit = 1;
  static constexpr int64_t bytes = 110;
  static constexpr int kPoints = 2, kHigh = 66, kSigns = 74, kScales = 106;  // offsets

  static float d(const std::byte* block) { return blocks::load_f16(block); }
  static int step(const std::byte* block, int group) { return iq::half_of(block + kScales, group) * 2 + 1; }
  static void codes(const std::byte* block, uint8_t* out) {
    for (int i = 0; i < 64; ++i, out += 4) {
      const int high = int(block[kHigh + i / 8]) >> (i % 8) & 1;
      iq::put_iq3(kGridIq3S[int(block[kPoints + i]) | high << 8], unsigned(block[kSigns + i / 2]) >> (i % 2 * 4), out);
    }
  }

  /// 1.4e-4 and up.
  static void draw_scales(uint64_t bits, std::byte* block) { blocks::store_u16(block, uint16_t(0x08ab + bits % 64)); }

  static void quantize(const blocks::BlockRow& row) {
    static const codebook::Codebook<4, 8> book(kGridIq3S, CodeTable::iq3_s);
    codebook::quantize<Iq3S>(book, false, row);
  }

  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    write(codebook::found_again<Iq3S, 4, kGridIq3S>(from), block);
  }

  static void write(const codebook::Found<4>& found, std::byte* block) {
    std::memset(block, 0, size_t(bytes));
    blocks::store_u16(block, f32_to_f16(found.d));
    for (int i = 0; i < 64; ++i) {
      block[kPoints + i] = std::byte(found.points[i] & 255);
      block[kHigh + i / 8] |= std::byte(found.points[i] >> 8 << (i % 8));
    }
    for (int i = 0; i < 32; ++i) block[kSigns + i] = std::byte(found.signs[i]);
    for (int i = 0; i < 4; ++i) block[kScales + i] = std::byte(found.s[2 * i] | found.s[2 * i + 1] << 4);
  }
};

}  // namespace

extern const Format format_iq3_s;
const Format format_iq3_s = blocks::block_format<Iq3S>();

}  // namespace gale
