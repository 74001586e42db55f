#include "quant/made_blocks.h"

namespace gale {
namespace {

/// HQQ of 3 bits (Badri and Shaji, 2023), axis 1, 64 columns a group. 3.5 bits per weight.
struct Hqq3 : made::Affine<3, true> {
  static constexpr std::string_view name = "hqq3";
  static constexpr TensorType type = TensorType::hqq3;
};

}  // namespace

extern const Format format_hqq3;
const Format format_hqq3 = made::filed_format<Hqq3>("hqq", 3);

}  // namespace gale
