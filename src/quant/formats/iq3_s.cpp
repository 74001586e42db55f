#include "quant/iq.h"

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
};

}  // namespace

extern const Format format_iq3_s;
const Format format_iq3_s = blocks::block_format<Iq3S>();

}  // namespace gale
