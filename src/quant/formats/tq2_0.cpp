#include "quant/blocks.h"
#include "quant/ternary.h"

namespace gale {
namespace {

/// 256 columns: 64 bytes of codes, f16 d; value = d * (q - 1), so code 3, which nobody writes, is 2. 2.0625 bits per weight.
struct Tq2_0 : ternary::Block<Tq2_0, 64> {
  static constexpr std::string_view name = "tq2_0";
  static constexpr TensorType type = TensorType::tq2_0;

  /// Each half of the block is 128 columns in 32 bytes: column i of quarter k at bit 2k of byte i.
  static void codes(const std::byte* block, uint8_t* out) {
    for (int half = 0; half < 2; ++half, out += 128) {
      uint8_t four[32];  // a copy: see blocks::split_nibbles()
      std::memcpy(four, block + half * 32, 32);
      for (int k = 0; k < 4; ++k)
        for (int i = 0; i < 32; ++i) out[k * 32 + i] = four[i] >> (2 * k) & 3;
    }
  }

  /// 2.8e-2 and up: with code 1 for every 3 codes deviate by 0.71.
  static void draw_scales(uint64_t bits, std::byte* block) {
    for (int i = 0; i < 64; ++i) block[i] &= ~(block[i] << 1 & std::byte(0xaa));
    blocks::store_u16(block + kTop, uint16_t(0x273d + bits % 64));
  }

  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    ternary::Fit fit{.d = from.top, .codes = {}};
    std::copy_n(from.codes, 256, fit.codes);
    write(fit, block);
  }

  static void write(const ternary::Fit& fit, std::byte* block) {
    for (int half = 0; half < 2; ++half) {
      const uint8_t* quarter = fit.codes + half * 128;  // four of 32 columns
      for (int i = 0; i < 32; ++i)
        block[half * 32 + i] = std::byte(quarter[i] | quarter[i + 32] << 2 | quarter[i + 64] << 4 | quarter[i + 96] << 6);
    }
    blocks::store_u16(block + kTop, f32_to_f16(fit.d));
  }
};

}  // namespace

extern const Format format_tq2_0;
const Format format_tq2_0 = blocks::block_format<Tq2_0>();

}  // namespace gale
