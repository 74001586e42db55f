#include "quant/gptq_blocks.h"

namespace gale {
namespace {

/// GPTQ of 4 bits (Frantar et al., 2022), symmetric, 128 columns a group. 4.125 bits per weight.
struct Gptq4 : gptq::Block<4> {
  static constexpr std::string_view name = "gptq4";
  static constexpr TensorType type = TensorType::gptq4;
};

}  // namespace

extern const Format format_gptq4;
const Format format_gptq4 = gptq::format<Gptq4>();

}  // namespace gale
