#include "quant/made_blocks.h"

namespace gale {
namespace {

/// MLX's affine form of 4 bits, 64 columns a group. 4.5 bits per weight.
struct Afq4 : made::Affine<4, false> {
  static constexpr std::string_view name = "afq4";
  static constexpr TensorType type = TensorType::afq4;
};

}  // namespace

extern const Format format_afq4;
const Format format_afq4 = made::filed_format<Afq4>("afq", 4);

}  // namespace gale
