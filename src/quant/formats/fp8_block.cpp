#include "quant/made_blocks.h"

namespace gale {
namespace {

/// 8-bit floats (e4m3) under a scale for every 128 columns of an output: finer than the blocks of 128 x 128 that files have. 8.25
/// bits per weight.
struct Fp8Block : made::Bytes<made::E4m3, made::Scope::block> {
  static constexpr std::string_view name = "fp8_block";
  static constexpr TensorType type = TensorType::fp8_block;
  static constexpr Layout layout = made::E4m3::layout;
};

}  // namespace

extern const Format format_fp8_block;
const Format format_fp8_block = blocks::block_format<Fp8Block>();

}  // namespace gale
