#include "quant/made_blocks.h"

namespace gale {
namespace {

/// MLX's affine form of 5 bits, 64 columns a group. 5.5 bits per weight.
struct Afq5 : made::Affine<5, false> {
  static constexpr std::string_view name = "afq5";
  static constexpr TensorType type = TensorType::afq5;
};

}  // namespace

extern const Format format_afq5;
const Format format_afq5 = made::filed_format<Afq5>("afq", 5);

}  // namespace gale
