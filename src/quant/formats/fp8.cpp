#include "quant/made_blocks.h"

namespace gale {
namespace {

/// 8-bit floats (e4m3) under a scale for each output, which is repeated for every 128 columns. 8.25 bits per weight.
struct Fp8 : made::Bytes<made::E4m3, made::Scope::row> {
  static constexpr std::string_view name = "fp8";
  static constexpr TensorType type = TensorType::fp8;
  static constexpr Layout layout = made::E4m3::layout;
};

}  // namespace

extern const Format format_fp8;
const Format format_fp8 = blocks::block_format<Fp8>();

}  // namespace gale
