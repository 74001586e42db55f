#include "cli/fit.h"

#include <algorithm>

namespace gale::cli {

Fit measure_fit(const EngineOptions& options, std::shared_ptr<const Checkpoint> checkpoint) {
  Fit out;
  out.load = predict_load(options, std::move(checkpoint));
  out.step_tokens = options.step_tokens;
  const ModelInfo& info = out.load.info;
  const int64_t left = out.load.available_bytes - info.packed_bytes - info.scratch_bytes;
  out.free_context = info.kv_bytes_per_token > 0 ? std::max<int64_t>(left, 0) / info.kv_bytes_per_token : 0;
  return out;
}

}  // namespace gale::cli
