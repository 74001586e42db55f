#include "quant/made_blocks.h"

namespace gale {
namespace {

/// HQQ of 8 bits (Badri and Shaji, 2023), axis 1, 64 columns a group. 8.5 bits per weight.
struct Hqq8 : made::Affine<8, true> {
  static constexpr std::string_view name = "hqq8";
  static constexpr TensorType type = TensorType::hqq8;
};

}  // namespace

extern const Format format_hqq8;
const Format format_hqq8 = made::filed_format<Hqq8>("hqq", 8);

}  // namespace gale
