#include "quant/gptq_blocks.h"

namespace gale {
namespace {

/// GPTQ of 8 bits (Frantar et al., 2022), symmetric, 128 columns a group. 8.125 bits per weight.
struct Gptq8 : gptq::Block<8> {
  static constexpr std::string_view name = "gptq8";
  static constexpr TensorType type = TensorType::gptq8;
};

}  // namespace

extern const Format format_gptq8;
const Format format_gptq8 = gptq::format<Gptq8>();

}  // namespace gale
