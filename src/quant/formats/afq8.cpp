#include "quant/made_blocks.h"

namespace gale {
namespace {

/// MLX's affine form of 8 bits, 64 columns a group. 8.5 bits per weight.
struct Afq8 : made::Affine<8, false> {
  static constexpr std::string_view name = "afq8";
  static constexpr TensorType type = TensorType::afq8;
};

}  // namespace

extern const Format format_afq8;
const Format format_afq8 = made::filed_format<Afq8>("afq", 8);

}  // namespace gale
