#include "quant/made_blocks.h"

namespace gale {
namespace {

/// bitsandbytes' NormalFloat4 (Dettmers et al., "QLoRA", 2023), a scale for every 64 columns. 4.5 bits per weight.
struct Nf4 : made::Table4<CodeTable::nf4> {
  static constexpr std::string_view name = "nf4";
  static constexpr TensorType type = TensorType::nf4;
};

}  // namespace

extern const Format format_nf4;
const Format format_nf4 = made::filed_format<Nf4>("bitsandbytes", 4);

}  // namespace gale
