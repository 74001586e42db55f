#include "engine/auto_quant.h"

#include <algorithm>

#include "base/cpu_budget.h"
#include "base/fail.h"
#include "base/log.h"
#include "engine/model_source.h"
#include "engine/runtime.h"

namespace gale {
namespace {

constexpr std::string_view kTypes[] = {"q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k"};
constexpr int64_t kContext = 8192;  // slots, where nobody says how many

// Scales beside codes, or a type of few bits.
bool is_quantized(const Checkpoint& checkpoint) {
  return std::ranges::any_of(checkpoint.tensors(), [&](const RawTensor& tensor) {
    if (!tensor.layout.empty() || group_around(checkpoint, tensor).parts.size() > 1) return true;
    if (tensor.shape.rank() < 2 || !tensor.name.ends_with(".weight")) return false;
    return tensor.type != TensorType::f32 && tensor.type != TensorType::f16 && tensor.type != TensorType::bf16;
  });
}

// Bytes of a load; of the context only what is wanted.
int64_t bytes_of(const EngineOptions& options, const std::shared_ptr<const Checkpoint>& checkpoint,
                 const std::shared_ptr<const QuantFiles>& files) {
  const ModelInfo info = predict_load(options, checkpoint, files).info;
  const int64_t context = options.context > 0 ? options.context : std::min(kContext, info.max_positions);
  return info.packed_bytes + info.scratch_bytes + context * info.kv_bytes_per_token;
}

}  // namespace

EngineOptions resolve_auto(EngineOptions options, const std::shared_ptr<const Checkpoint>& checkpoint,
                           const std::shared_ptr<const QuantFiles>& files) {
  if (options.quant != QuantRecipe::kAuto) return options;
  require(!is_random_model(options.model), ErrorCode::invalid_argument,
          "auto chooses a type by what a model has; {} has none yet: name one, such as q4_k_m", options.model);
  if (is_quantized(*checkpoint)) {
    log_warning("auto: {} is quantized already and stays as it is", options.model);
    options.quant.clear();
    return options;
  }
  const auto free = int64_t(available_memory()) / 10 * 9;
  int64_t bytes = 0;
  for (const std::string_view type : kTypes) {
    options.quant = type;
    bytes = bytes_of(options, checkpoint, files);
    if (free > 0 && bytes > free) continue;
    log_info("--quant auto: {}, which takes {:.1f} GB with its context, {:.1f} GB are free for it", type, double(bytes) / 1e9,
             double(free) / 1e9);
    return options;
  }
  fail(ErrorCode::out_of_memory,
       "{} takes {:.1f} GB even as {}, but {:.1f} GB are free for it; give it a shorter --ctx, or free memory", options.model,
       double(bytes) / 1e9, kTypes[std::size(kTypes) - 1], double(free) / 1e9);
}

QuantRecipe resolve_auto(QuantRecipe recipe, const std::string& model, const std::shared_ptr<const Checkpoint>& checkpoint) {
  EngineOptions options;
  options.model = model;
  options.quant = recipe.type;
  options.topology = recipe.topology;
  options.imatrix = recipe.imatrix;
  options.calibrate = recipe.calibrate;
  options.quant_experts = recipe.experts_only;
  recipe.type = resolve_auto(options, checkpoint, recipe.files).quant;
  return recipe;
}

}  // namespace gale
