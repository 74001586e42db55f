#include "quant/made_blocks.h"

namespace gale {
namespace {

/// MLX's affine form of 3 bits, 64 columns a group. 3.5 bits per weight.
struct Afq3 : made::Affine<3, false> {
  static constexpr std::string_view name = "afq3";
  static constexpr TensorType type = TensorType::afq3;
};

}  // namespace

extern const Format format_afq3;
const Format format_afq3 = made::filed_format<Afq3>("afq", 3);

}  // namespace gale
