#include "quant/made_blocks.h"

namespace gale {
namespace {

/// 8-bit integers under a scale for each output, which is repeated for every 128 columns. 8.25 bits per weight.
struct Int8Rows : made::Bytes<made::Int8, made::Scope::row> {
  static constexpr std::string_view name = "int8";
  static constexpr TensorType type = TensorType::int8;
  static constexpr Layout layout = made::Int8::layout;
};

}  // namespace

extern const Format format_int8;
const Format format_int8 = blocks::block_format<Int8Rows>();

}  // namespace gale
