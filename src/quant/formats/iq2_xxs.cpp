#include "quant/iq.h"

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
};

}  // namespace

extern const Format format_iq2_xxs;
const Format format_iq2_xxs = blocks::block_format<Iq2Xxs>();

}  // namespace gale
