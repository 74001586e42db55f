#include "quant/made_blocks.h"

namespace gale {
namespace {

/// HQQ of 2 bits (Badri and Shaji, 2023), axis 1, 64 columns a group. 2.5 bits per weight.
struct Hqq2 : made::Affine<2, true> {
  static constexpr std::string_view name = "hqq2";
  static constexpr TensorType type = TensorType::hqq2;
};

}  // namespace

extern const Format format_hqq2;
const Format format_hqq2 = made::filed_format<Hqq2>("hqq", 2);

}  // namespace gale
