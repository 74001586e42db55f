#include "quant/gptq_blocks.h"

namespace gale {
namespace {

/// GPTQ of 2 bits (Frantar et al., 2022), symmetric, 128 columns a group. 2.125 bits per weight.
struct Gptq2 : gptq::Block<2> {
  static constexpr std::string_view name = "gptq2";
  static constexpr TensorType type = TensorType::gptq2;
};

}  // namespace

extern const Format format_gptq2;
const Format format_gptq2 = gptq::format<Gptq2>();

}  // namespace gale
