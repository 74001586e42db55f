#pragma once
#include <memory>

#include "checkpoint/checkpoint.h"

namespace gale::cli {

/// What a model would take, found without reading a byte of its weights.
struct Fit {
  int64_t packed_bytes = 0;  ///< weights as the kernels read them
  int64_t kv_bytes_per_token = 0;
  int64_t scratch_bytes = 0;    ///< activations of one step of `step_tokens` rows
  int64_t available_bytes = 0;  ///< memory of this process now, 0 where unknown
  int64_t max_positions = 0;    ///< what the model was made for
  int64_t context = 0;          ///< tokens of KV that fit beside weights and scratch, 0: not even those fit
};
/// `kv_type`: as for choose_kv_type(). Throws Error{unsupported} for architectures and weight formats that cannot be run.
Fit measure_fit(std::shared_ptr<const Checkpoint> checkpoint, int64_t step_tokens, std::string_view kv_type);

}  // namespace gale::cli
