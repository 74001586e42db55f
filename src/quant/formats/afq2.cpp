#include "quant/made_blocks.h"

namespace gale {
namespace {

/// MLX's affine form of 2 bits, 64 columns a group. 2.5 bits per weight.
struct Afq2 : made::Affine<2, false> {
  static constexpr std::string_view name = "afq2";
  static constexpr TensorType type = TensorType::afq2;
};

}  // namespace

extern const Format format_afq2;
const Format format_afq2 = made::filed_format<Afq2>("afq", 2);

}  // namespace gale
