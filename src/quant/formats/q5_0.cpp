#include "quant/one_level.h"

namespace gale {
namespace {

/// 32 columns: f16 scale d, 4 bytes with the high bits of the codes, 16 bytes with their low 4 bits; value = d * (q - 16).
/// 5.5 bits per weight.
struct Q5_0 {
  static constexpr std::string_view name = "q5_0";
  static constexpr TensorType type = TensorType::q5_0;
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = 5, .group = 32, .block = 32, .top = ScaleType::f16, .bias = 16};
  static constexpr int64_t bytes = 22;
  static constexpr int kHigh = 2, kLow = 6;  // offsets

  static bool valid(const std::byte* block) { return blocks::finite_f16(block); }

  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block);
    uint8_t codes[32];
    blocks::split_fives(block + kLow, block + kHigh, codes);
    for (int i = 0; i < 32; ++i) out[i] = d * float(int(codes[i]) - 16);
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block);
    blocks::split_fives(block + kLow, block + kHigh, out.codes);
  }

  /// 2.2e-3 and up: codes have a deviation of 9.2.
  static void draw_scales(uint64_t bits, std::byte* block) { blocks::store_u16(block, uint16_t(0x1872 + bits % 64)); }
  static void join(const blocks::JoinedBlock& from, std::byte* block) { write(from.top, from.codes, block); }

  static void quantize(const blocks::BlockRow& row) { one_level::quantize_symmetric<Q5_0, 16>(row); }
  static void write(float d, const uint8_t* codes, std::byte* block) {
    blocks::store_u16(block, f32_to_f16(d));
    blocks::join_fives(codes, block + kLow, block + kHigh);
  }
};

}  // namespace

extern const Format format_q5_0;
const Format format_q5_0 = blocks::block_format<Q5_0>();

}  // namespace gale
