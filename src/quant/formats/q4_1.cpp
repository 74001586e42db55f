#include "quant/one_level.h"

namespace gale {
namespace {

/// 32 columns: f16 scale d, f16 minimum m, then 16 bytes whose low halves are the codes of columns 0-15 and whose high halves
/// those of 16-31; value = d * q + m. 5 bits per weight.
struct Q4_1 {
  static constexpr std::string_view name = "q4_1";
  static constexpr TensorType type = TensorType::q4_1;
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = 4, .group = 32, .block = 32, .top = ScaleType::f16, .minimum = true};
  static constexpr int64_t bytes = 20;
  static constexpr int kCodes = 4;  // offset

  static bool valid(const std::byte* block) { return blocks::finite_f16(block) && blocks::finite_f16(block + 2); }

  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block), m = blocks::load_f16(block + 2);
    for (int i = 0; i < 16; ++i) {
      const int both = int(block[kCodes + i]);
      out[i] = d * float(both & 15) + m;
      out[i + 16] = d * float(both >> 4) + m;
    }
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block);
    *out.top_min = -blocks::load_f16(block + 2);
    blocks::split_nibbles<16>(block + kCodes, out.codes);
  }

  /// d from 4.3e-3, m that times -7.5: codes have a mean of 7.5 and a deviation of 4.6.
  static void draw_scales(uint64_t bits, std::byte* block) {
    blocks::store_u16(block, uint16_t(0x1c67 + bits % 64));
    blocks::store_u16(block + 2, f32_to_f16(-7.5f * blocks::load_f16(block)));
  }
  static void join(const blocks::JoinedBlock& from, std::byte* block) { write(from.top, -from.top_min, from.codes, block); }

  static void quantize(const blocks::BlockRow& row) { one_level::quantize_affine<Q4_1, 15>(row); }
  static void write(float d, float m, const uint8_t* codes, std::byte* block) {
    blocks::store_u16(block, f32_to_f16(d));
    blocks::store_u16(block + 2, f32_to_f16(m));
    for (int i = 0; i < 16; ++i) block[kCodes + i] = std::byte(codes[i] | codes[i + 16] << 4);
  }
};

}  // namespace

extern const Format format_q4_1;
const Format format_q4_1 = blocks::block_format<Q4_1>();

}  // namespace gale
