#include "engine/weight_plan.h"

#include <charconv>

#include "base/json.h"

namespace gale {
namespace {

std::string_view without_bits(std::string_view type) {
  constexpr std::pair<std::string_view, std::string_view> kBits[] = {{"2", "q2_k"},   {"3", "q3_k_m"}, {"4", "q4_k_m"},
                                                                     {"5", "q5_k_m"}, {"6", "q6_k"},   {"8", "q8_0"}};
  for (const auto& [bits, name] : kBits)
    if (bits == type) return name;
  return type;
}

// N of "model.layers.N.", -1 outside the layers.
int layer_of(std::string_view name) {
  constexpr std::string_view kBefore = "layers.";
  const size_t at = name.find(kBefore);
  if (at == name.npos) return -1;
  int layer = -1;
  std::from_chars(name.data() + at + kBefore.size(), name.data() + name.size(), layer);
  return layer;
}

}  // namespace

WeightPlan::WeightPlan(std::string_view type, int64_t layers, bool tied_head)
    : policy_(QuantPolicy::named(without_bits(type))), layers_(int(layers)), tied_head_(tied_head) {}

WeightPlan WeightPlan::of(std::string_view type, const Checkpoint& checkpoint) {
  int layers = 0;
  for (const RawTensor& tensor : checkpoint.tensors()) layers = std::max(layers, layer_of(tensor.name) + 1);
  return WeightPlan(type, layers, checkpoint.find("lm_head.weight") == nullptr);
}

const Format& WeightPlan::choose(std::string_view name, int64_t rows, int64_t columns) {
  const QuantPolicy::Tensor tensor{
      .name = name, .rows = rows, .columns = columns, .layer = layer_of(name), .layers = layers_, .tied_head = tied_head_};
  const QuantPolicy::Choice choice = policy_.choose(tensor);
  fallbacks_.add(tensor, choice);
  return *choice.format;
}

Loader::Requantize requantize(WeightPlan& plan, const Checkpoint& checkpoint) {
  return [&](std::string_view name, int64_t rows, int64_t columns) -> const Format* {
    const std::string full = std::string(name) + ".weight";
    const Format& format = plan.choose(full, rows, columns);
    const RawTensor* raw = checkpoint.find(full);
    return raw != nullptr && raw->type == format.stored ? nullptr : &format;
  };
}

}  // namespace gale
