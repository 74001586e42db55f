#include "quant/blocks.h"
#include "quant/ternary.h"

namespace gale {
namespace {

/// 256 columns: 52 bytes of five codes each, the last four of four, f16 d; value = d * (q - 1). 1.6875 bits per weight. A byte is
/// a fraction of base 3, rounded up, so that multiplying by 3 brings its digits out on top, one after the other.
struct Tq1_0 : ternary::Block<Tq1_0, 52> {
  static constexpr std::string_view name = "tq1_0";
  static constexpr TensorType type = TensorType::tq1_0;

  /// Calls visit(byte, digit, column) for all: bytes [0, 32), [32, 48) and [48, 52) each hold a run of columns for every digit.
  template <class Visit>
  static void each_digit(const Visit& visit) {
    int column = 0;
    for (const auto& [first, end, digits] : {std::array{0, 32, 5}, {32, 48, 5}, {48, 52, 4}})
      for (int digit = 0; digit < digits; ++digit)
        for (int byte = first; byte < end; ++byte) visit(byte, digit, column++);
  }
  static constexpr int kPowers[5] = {1, 3, 9, 27, 81};

  static void codes(const std::byte* block, uint8_t* out) {
    each_digit([&](int byte, int digit, int column) {
      const int rest = int(block[byte]) * kPowers[digit] & 255;
      out[column] = uint8_t(rest * 3 >> 8);
    });
  }

  /// 2.4e-2 and up: codes have a deviation of 0.82.
  static void draw_scales(uint64_t bits, std::byte* block) { blocks::store_u16(block + kTop, uint16_t(0x2646 + bits % 64)); }

  static void join(const blocks::JoinedBlock& from, std::byte* block) {
    ternary::Fit fit{.d = from.top, .codes = {}};
    std::copy_n(from.codes, 256, fit.codes);
    write(fit, block);
  }

  static void write(const ternary::Fit& fit, std::byte* block) {
    int numbers[52] = {};
    each_digit([&](int byte, int digit, int column) { numbers[byte] += fit.codes[column] * kPowers[4 - digit]; });
    for (int i = 0; i < 52; ++i) block[i] = std::byte((numbers[i] * 256 + 242) / 243);
    blocks::store_u16(block + kTop, f32_to_f16(fit.d));
  }
};

}  // namespace

extern const Format format_tq1_0;
const Format format_tq1_0 = blocks::block_format<Tq1_0>();

}  // namespace gale
