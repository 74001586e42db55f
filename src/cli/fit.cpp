#include "cli/fit.h"

#include <algorithm>
#include <cstdlib>

#include "base/cpu.h"
#include "base/cpu_budget.h"
#include "engine/sizing.h"
#include "models/model.h"

namespace gale::cli {

Fit measure_fit(std::shared_ptr<const Checkpoint> checkpoint, int64_t step_tokens, std::string_view kv_type) {
  const KvType type = choose_kv_type(kv_type, false);
  ThreadPool pool(1);
  Loader loader(checkpoint, pool, {.requantize = {}, .shape_only = true, .progress = {}});
  const Arch& arch = find_architecture(checkpoint->architecture());
  const auto model = arch.build(Config(checkpoint->config(), checkpoint->path().string()), Weights(loader));
  loader.finish();
  Fit out;
  out.packed_bytes = loader.packed_bytes();
  out.max_positions = model->max_positions();
  const auto layers = model->cache_layers();
  out.kv_bytes_per_token = KvCache::block_bytes(layers, type) / KvCache::kBlockSlots;

  const char* isa = std::getenv("GALE_ISA");
  const CpuKernels& cpu = cpu_kernels(choose_isa(detect_cpu(), isa == nullptr ? "" : isa));
  out.scratch_bytes = measure_scratch(*model, cpu, pool, Precision::standard, type, step_tokens);

  out.available_bytes = int64_t(available_memory());
  const int64_t left = out.available_bytes - out.packed_bytes - out.scratch_bytes;
  out.context = out.kv_bytes_per_token > 0 ? std::max<int64_t>(left, 0) / out.kv_bytes_per_token : 0;
  return out;
}

}  // namespace gale::cli
