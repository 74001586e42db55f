#include "quant/made_blocks.h"

namespace gale {
namespace {

/// HQQ of 4 bits (Badri and Shaji, 2023), axis 1, 64 columns a group. 4.5 bits per weight.
struct Hqq4 : made::Affine<4, true> {
  static constexpr std::string_view name = "hqq4";
  static constexpr TensorType type = TensorType::hqq4;
};

}  // namespace

extern const Format format_hqq4;
const Format format_hqq4 = made::filed_format<Hqq4>("hqq", 4);

}  // namespace gale
