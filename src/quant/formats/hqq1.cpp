#include "quant/made_blocks.h"

namespace gale {
namespace {

/// HQQ of 1 bit (Badri and Shaji, 2023), axis 1, 64 columns a group. 1.5 bits per weight in a file, 2.5 in memory.
struct Hqq1 : made::Affine<1, true> {
  static constexpr std::string_view name = "hqq1";
  static constexpr TensorType type = TensorType::hqq1;
};

}  // namespace

extern const Format format_hqq1;
const Format format_hqq1 = made::filed_format<Hqq1>("hqq", 1);

}  // namespace gale
