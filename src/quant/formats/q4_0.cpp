#include "quant/one_level.h"

namespace gale {
namespace {

/// 32 columns: f16 scale d, then 16 bytes whose low halves are the codes of columns 0-15 and whose high halves those of 16-31;
/// value = d * (q - 8). 4.5 bits per weight.
struct Q4_0 {
  static constexpr std::string_view name = "q4_0";
  static constexpr TensorType type = TensorType::q4_0;
  static constexpr Layout layout{
      .kind = Layout::Kind::grouped, .bits = 4, .group = 32, .block = 32, .top = ScaleType::f16, .bias = 8};
  static constexpr int64_t bytes = 18;

  static bool valid(const std::byte* block) { return blocks::finite_f16(block); }

  static void values(const std::byte* block, float* out) {
    const float d = blocks::load_f16(block);
    for (int i = 0; i < 16; ++i) {
      const int both = int(block[2 + i]);
      out[i] = d * float((both & 15) - 8);
      out[i + 16] = d * float((both >> 4) - 8);
    }
  }

  static void split(const std::byte* block, const blocks::BlockParts& out) {
    *out.top = blocks::load_f16(block);
    blocks::split_nibbles<16>(block + 2, out.codes);
  }

  /// 4.3e-3 and up: codes have a deviation of 4.6.
  static void draw_scales(uint64_t bits, std::byte* block) { blocks::store_u16(block, uint16_t(0x1c67 + bits % 64)); }
  static void join(const blocks::JoinedBlock& from, std::byte* block) { write(from.top, from.codes, block); }

  static void quantize(const blocks::BlockRow& row) { one_level::quantize_symmetric<Q4_0, 8>(row); }
  static void write(float d, const uint8_t* codes, std::byte* block) {
    blocks::store_u16(block, f32_to_f16(d));
    for (int i = 0; i < 16; ++i) block[2 + i] = std::byte(codes[i] | codes[i + 16] << 4);
  }
};

}  // namespace

extern const Format format_q4_0;
const Format format_q4_0 = blocks::block_format<Q4_0>();

}  // namespace gale
