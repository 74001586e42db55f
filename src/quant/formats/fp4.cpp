#include "quant/made_blocks.h"

namespace gale {
namespace {

/// bitsandbytes' FP4, a scale for every 64 columns. 4.5 bits per weight.
struct Fp4 : made::Table4<CodeTable::fp4> {
  static constexpr std::string_view name = "fp4";
  static constexpr TensorType type = TensorType::fp4;
};

}  // namespace

extern const Format format_fp4;
const Format format_fp4 = made::filed_format<Fp4>("bitsandbytes", 4);

}  // namespace gale
