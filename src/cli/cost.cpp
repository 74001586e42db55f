#include "cli/cost.h"

#include <algorithm>
#include <optional>

#include "checkpoint/checkpoint.h"
#include "engine/model_source.h"
#include "engine/weight_plan.h"
#include "nn/arrangement.h"
#include "quant/format.h"

namespace gale::cli {
namespace {

// The format that --quant turns a matrix into, or the file's own; nullptr where nothing reads it.
const Format* format_for(const RawTensor& tensor, WeightPlan* plan) {
  if (plan != nullptr) return &plan->choose(tensor.name, tensor.rows(), tensor.columns());
  TensorGroup group;
  group.name = tensor.name;
  group.parts = {{"weight", &tensor}};
  for (const Format* format : formats())
    if (format->claims(group)) return format;
  return nullptr;
}

Rounding rounding_of(const Format* format, const RawTensor& tensor) {
  if (const Layout* layout = layout_named(tensor.layout)) return layout_rounding(*layout);
  if (format == nullptr) return Rounding::none;
  RawTensor as_stored = tensor;
  as_stored.type = format->stored;
  TensorGroup group;
  group.parts = {{"weight", &as_stored}};
  return format->claims(group) ? layout_rounding(format->layout(group)) : Rounding::none;
}

}  // namespace

ModelCost model_cost(const Engine& engine, const EngineOptions& options) {
  const Checkpoint& checkpoint = engine.checkpoint();
  const CheckpointSizes sizes = checkpoint.sizes();
  const bool tied = sizes.tied_head;
  std::optional<WeightPlan> plan;
  if (!options.quant.empty() && !is_random_model(options.model)) plan = WeightPlan::of(options.quant, checkpoint);
  ModelCost out;
  double int8_macs = 0, bf16_macs = 0;
  for (const RawTensor& t : checkpoint.tensors()) {
    const bool embedding = t.name.find("embed_tokens") != std::string::npos,
               head = t.name.starts_with("lm_head") || (embedding && tied);
    if (embedding && !tied) continue;  // one row of it a token
    const bool expert = t.name.find("experts.") != std::string::npos && t.name.find("shared") == std::string::npos;
    const double share = expert ? sizes.used_experts : 1;
    const bool matrix = t.shape.rank() >= 2;
    const Format* format = matrix ? format_for(t, plan ? &*plan : nullptr) : nullptr;
    const double bytes = plan && format != nullptr ? double(t.rows()) * double(row_bytes(format->stored, t.columns(), t.name))
                                                   : double(t.bytes.size());
    out.bytes += bytes;
    out.active_bytes += bytes * share;
    if (!matrix) continue;
    const double macs = double(t.elements()) * share;
    (head ? out.head_macs : out.layer_macs) += macs;
    const Rounding rounding = options.exact ? Rounding::none : rounding_of(format, t);
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
