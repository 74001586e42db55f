#include <limits>

#include "quant/blocks.h"

namespace gale {
namespace {

/// The value itself.
struct F32 {
  static constexpr std::string_view name = "f32";
  static constexpr TensorType type = TensorType::f32;
  static constexpr Layout layout = dense_layout(DType::f32);
  static constexpr float limit = std::numeric_limits<float>::max();
  static constexpr uint64_t random_bits = 0x807fffff807fffff, random_exponent = 0x3c8000003c800000;
  using Element = float;
  static float read(float x) { return x; }
  static float write(float x) { return x; }
};

}  // namespace

extern const Format format_f32;
const Format format_f32 = blocks::dense_format<F32>();

}  // namespace gale
