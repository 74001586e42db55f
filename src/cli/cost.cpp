#include "cli/cost.h"

#include <algorithm>
#include <optional>

#include "checkpoint/checkpoint.h"
#include "engine/model_source.h"
#include "engine/weight_plan.h"
#include "quant/arranged.h"
#include "quant/format.h"

namespace gale::cli {
namespace {

// A matrix as it will be multiplied with.
struct Matrix {
  double elements = 0, bytes = 0;
  Rounding rounding = Rounding::none;
};

// What bounds a layout's dots: where groups run down columns, kernels round inputs themselves.
Rounding dots_of(const Layout& layout) {
  return layout.kind == Layout::Kind::down ? Rounding::int8_per_32 : layout_rounding(layout);
}

const Format* format_reading(const TensorGroup& group) {
  if (is_arranged(group)) return &arranged_format();
  for (const Format* format : formats())
    if (format->claims(group)) return format;
  return nullptr;
}

// In the file's own form, or in that which --quant turns it into. What nothing reads is counted as it lies.
Matrix matrix_of(const TensorGroup& group, const RawTensor& tensor, WeightPlan* plan) {
  Matrix out{.elements = double(tensor.elements())};
  for (const auto& [part, raw] : group.parts) out.bytes += double(raw->own_bytes());
  const Format* format = format_reading(group);
  if (format == nullptr) return out;
  const auto [rows, columns] = format->shape(group);
  out.elements = double(rows) * double(columns);
  out.rounding = dots_of(format->layout(group));
  const Format* chosen =
      plan ? plan->choose(group.parts.size() > 1 ? group.name + ".weight" : tensor.name, rows, columns) : nullptr;
  if (chosen == nullptr) return out;
  const Format& target = *chosen;
  RawTensor made;
  made.type = target.stored;
  made.shape = {rows, columns};
  TensorGroup alone;
  alone.parts = {{"weight", &made}};
  out.bytes = double(rows) * double(row_bytes(target.stored, columns, tensor.name));
  out.rounding = dots_of(target.layout(alone));
  return out;
}

}  // namespace

ModelCost model_cost(const Engine& engine, const EngineOptions& options) {
  const Checkpoint& checkpoint = engine.checkpoint();
  const CheckpointSizes sizes = checkpoint.sizes();
  const bool tied = sizes.tied_head;
  std::optional<WeightPlan> plan;
  QuantRecipe recipe = QuantRecipe::of(options);
  if (recipe.type == QuantRecipe::kAuto) recipe.type = engine.info().quant;
  if (!recipe.empty()) plan = WeightPlan::of(recipe, checkpoint);
  ModelCost out;
  double int8_macs = 0, bf16_macs = 0;
  for (const RawTensor& t : checkpoint.tensors()) {
    const bool embedding = t.name.find("embed_tokens") != std::string::npos,
               head = t.name.starts_with("lm_head") || (embedding && tied);
    if (embedding && !tied) continue;  // one row of it a token
    const TensorGroup group = group_around(checkpoint, t);
    const bool several = group.parts.size() > 1;
    if (several && group.parts.begin()->second != &t) continue;  // counted with the first
    const bool expert = t.name.find("experts.") != std::string::npos && t.name.find("shared") == std::string::npos;
    const double share = expert ? sizes.used_experts : 1;
    const bool matrix = several || t.shape.rank() >= 2;
    const Matrix m = matrix ? matrix_of(group, t, plan ? &*plan : nullptr) : Matrix{.bytes = double(t.own_bytes())};
    out.bytes += m.bytes;
    out.active_bytes += m.bytes * share;
    if (!matrix) continue;
    const double macs = m.elements * share;
    (head ? out.head_macs : out.layer_macs) += macs;
    const Rounding rounding = options.exact ? Rounding::none : m.rounding;
    if (rounding == Rounding::bf16)
      bf16_macs += macs;
    else if (rounding != Rounding::none)
      int8_macs += macs;
  }
  const double all = std::max(out.layer_macs + out.head_macs, 1.0);
  out.int8_share = int8_macs / all;
  out.bf16_share = bf16_macs / all;
  out.kv_bytes = double(engine.info().kv_bytes_per_token);
  return out;
}

Share share_of(const Work& work, double seconds, const Roofline& r) {
  const double memory = work.bytes / (r.read_gb_s * 1e9);
  struct Part {
    const char* bound;
    double seconds;
  };
  const Part parts[] = {{"int8", work.macs * work.int8_share / (r.int8_tmac_s * 1e12)},
                        {"bf16", work.macs * work.bf16_share / (r.bf16_tmac_s * 1e12)},
                        {"f32", work.macs * (1 - work.int8_share - work.bf16_share) / (r.f32_tmac_s * 1e12)}};
  double compute = 0;
  const Part* largest = parts;
  for (const Part& part : parts) {
    compute += part.seconds;
    if (part.seconds > largest->seconds) largest = &part;
  }
  return {std::max(memory, compute) / seconds, memory >= compute ? "memory" : largest->bound};
}

}  // namespace gale::cli
