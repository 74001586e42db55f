#include "quant/one_level.h"

namespace gale {
namespace {

/// 32 columns: f16 scale d, f16 minimum m, 4 bytes with the high bits of the codes, 16 bytes with their low 4 bits;
/// value = d * q + m. 6 bits per weight.
struct Q5_1 {
  static constexpr std::string_view name = "q5_1";
  static constexpr TensorType type = TensorType::q5_1;
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = 5, .group = 32, .block = 32, .top = ScaleType::f16, .minimum = true};
  static constexpr int64_t bytes = 24;
  static constexpr int kHigh = 4, kLow = 8;  // offsets

  static bool valid(const std::byte* block) { return blocks::finite_f16(block) && blocks::finite_f16(block + 2); }

  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block), m = blocks::load_f16(block + 2);
    uint8_t codes[32];
    blocks::split_fives(block + kLow, block + kHigh, codes);
    for (int i = 0; i < 32; ++i) out[i] = d * float(codes[i]) + m;
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block);
    *out.top_min = -blocks::load_f16(block + 2);
    blocks::split_fives(block + kLow, block + kHigh, out.codes);
  }

  /// d from 2.2e-3, m that times -15.5: codes have a mean of 15.5 and a deviation of 9.2.
  static void draw_scales(uint64_t bits, std::byte* block) {
    blocks::store_u16(block, uint16_t(0x1872 + bits % 64));
    blocks::store_u16(block + 2, f32_to_f16(-15.5f * blocks::load_f16(block)));
  }
  static void join(const blocks::JoinedBlock& from, std::byte* block) { write(from.top, -from.top_min, from.codes, block); }

  static void quantize(const blocks::BlockRow& row) { one_level::quantize_affine<Q5_1, 31>(row); }
  static void write(float d, float m, const uint8_t* codes, std::byte* block) {
    blocks::store_u16(block, f32_to_f16(d));
    blocks::store_u16(block + 2, f32_to_f16(m));
    blocks::join_fives(codes, block + kLow, block + kHigh);
  }
};

}  // namespace

extern const Format format_q5_1;
const Format format_q5_1 = blocks::block_format<Q5_1>();

}  // namespace gale
