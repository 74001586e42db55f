#include "quant/blocks.h"

namespace gale {
namespace {

/// IEEE binary16, rounded to nearest even; what does not fit is refused, not turned into infinity.
struct F16 {
  static constexpr std::string_view name = "f16";
  static constexpr TensorType type = TensorType::f16;
  static constexpr Layout layout = dense_layout(DType::f16);
  static constexpr float limit = blocks::kF16Limit;
  static constexpr uint64_t random_bits = 0x83ff83ff83ff83ff, random_exponent = 0x2400240024002400;
  using Element = uint16_t;
  static float read(uint16_t x) { return f16_to_f32(x); }
  static uint16_t write(float x) { return f32_to_f16(x); }
};

}  // namespace

extern const Format format_f16;
const Format format_f16 = blocks::dense_format<F16>();

}  // namespace gale
