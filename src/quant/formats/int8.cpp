#include "quant/made_blocks.h"

namespace gale {
namespace {

/// 8-bit integers under a scale for each output, as bitsandbytes' LLM.int8() has them, which is repeated for every 256 columns.
/// 8.125 bits per weight.
struct Int8Rows : made::Bytes<made::Int8, made::Scope::row> {
  static constexpr std::string_view name = "int8";
  static constexpr TensorType type = TensorType::int8;
};

constexpr Format filed() {
  Format out = made::bytes_format<Int8Rows, made::Scope::row>();
  out.file_form = "bnb_int8", out.file_bits = 8;
  return out;
}

}  // namespace

extern const Format format_int8;
const Format format_int8 = filed();

}  // namespace gale
