#include "quant/blocks.h"

namespace gale {
namespace {

/// The upper half of an f32, rounded to nearest even.
struct Bf16 {
  static constexpr std::string_view name = "bf16";
  static constexpr TensorType type = TensorType::bf16;
  static constexpr Layout layout = dense_layout(DType::bf16);
  static constexpr float limit = 0x1.fep127f;  // the largest bf16
  static constexpr uint64_t random_bits = 0x807f807f807f807f, random_exponent = 0x3c803c803c803c80;
  using Element = uint16_t;
  static float read(uint16_t x) { return bf16_to_f32(x); }
  static uint16_t write(float x) { return f32_to_bf16(x); }
};

}  // namespace

extern const Format format_bf16;
const Format format_bf16 = blocks::dense_format<Bf16>();

}  // namespace gale
