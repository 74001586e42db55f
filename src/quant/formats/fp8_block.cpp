#include "quant/made_blocks.h"

namespace gale {
namespace {

/// 8-bit floats (e4m3) under a scale for 128 outputs and 128 columns, as DeepSeek-V3 has them, the blocks at the edges being
/// smaller. Kernels read it once a row: 8.25 bits per weight.
struct Fp8Block : made::Bytes<made::E4m3, made::Scope::block> {
  static constexpr std::string_view name = "fp8_block";
  static constexpr TensorType type = TensorType::fp8_block;
};

constexpr Format filed() {
  Format out = made::bytes_format<Fp8Block, made::Scope::block>();
  out.file_form = "fp8_hf", out.file_bits = 8;
  return out;
}

}  // namespace

extern const Format format_fp8_block;
const Format format_fp8_block = filed();

}  // namespace gale
