#include "quant/iq.h"

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
};

}  // namespace

extern const Format format_iq3_xxs;
const Format format_iq3_xxs = blocks::block_format<Iq3Xxs>();

}  // namespace gale
