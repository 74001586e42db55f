#include "quant/made_blocks.h"

namespace gale {
namespace {

/// MLX's affine form of 6 bits, 64 columns a group. 6.5 bits per weight.
struct Afq6 : made::Affine<6, false> {
  static constexpr std::string_view name = "afq6";
  static constexpr TensorType type = TensorType::afq6;
};

}  // namespace

extern const Format format_afq6;
const Format format_afq6 = made::filed_format<Afq6>("afq", 6);

}  // namespace gale
