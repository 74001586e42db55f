#include "quant/gptq_blocks.h"

namespace gale {
namespace {

/// GPTQ of 3 bits (Frantar et al., 2022), symmetric, 128 columns a group. 3.125 bits per weight.
struct Gptq3 : gptq::Block<3> {
  static constexpr std::string_view name = "gptq3";
  static constexpr TensorType type = TensorType::gptq3;
};

}  // namespace

extern const Format format_gptq3;
const Format format_gptq3 = gptq::format<Gptq3>();

}  // namespace gale
