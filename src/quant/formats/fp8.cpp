#include "quant/made_blocks.h"

namespace gale {
namespace {

/// 8-bit floats (e4m3) under a scale for each output, which is repeated for every 256 columns. 8.125 bits per weight.
struct Fp8 : made::Bytes<made::E4m3, made::Scope::row> {
  static constexpr std::string_view name = "fp8";
  static constexpr TensorType type = TensorType::fp8;
};

constexpr Format filed() {
  Format out = made::bytes_format<Fp8, made::Scope::row>();
  out.file_form = "fp8_hf", out.file_bits = 8;
  return out;
}

}  // namespace

extern const Format format_fp8;
const Format format_fp8 = filed();

}  // namespace gale
