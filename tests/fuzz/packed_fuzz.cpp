// Any bytes are a packed file or an Error; so is any index around any bytes, with hashes that fit: what can be opened is sized,
// loads and makes a step.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/json.h"
#include "checkpoint/checkpoint_builder.h"
#include "checkpoint/packed_file.h"
#include "gale/error.h"
#include "models/model.h"

namespace gale {
namespace {

void step(const Model& model, ThreadPool& pool, Arena& arena) {
  KvCache kv(model.cache_layers(), KvType::f16, 1, arena.is_measuring());
  const TrackId track = kv.open();
  const std::vector<int32_t> ids = {0, 0, 0};
  if (!arena.is_measuring() && !kv.reserve(track, int64_t(ids.size()))) std::abort();
  Ctx ctx{arena, pool, cpu_kernels(detect_cpu().isas.back()), Precision::standard};
  Batch batch;
  batch.add_causal(track, ids.data(), int32_t(ids.size()), 0);
  batch.wanted = {2};
  if (model.head(ctx, model.hidden(ctx, batch, kv)).dim(1) != model.vocab()) std::abort();
}

void open(std::span<const std::byte> file) {
  const auto checkpoint = CheckpointBuilder::from_packed(file, nullptr, "fuzz.gale");
  if (checkpoint->sizes().bytes < 0) std::abort();
  static_cast<void>(checkpoint->chat_template());
  static ThreadPool pool(1);
  Loader loader(checkpoint, pool, {.requantize = {}, .shape_only = false, .progress = {}, .sink = {}});
  const auto model = find_architecture(checkpoint->architecture())
                         .build(Config(checkpoint->config(), checkpoint->config_source()), Weights(loader));
  loader.finish();
  Arena measuring = Arena::measuring();
  step(*model, pool, measuring);
  if (measuring.peak() > size_t(64) << 20) return;
  Arena arena(measuring.peak());
  step(*model, pool, arena);
}

// The input as an index, with 64 KB of numbers before it.
void open_sealed(std::string_view index) {
  constexpr size_t kStart = 64, kData = size_t(64) << 10;
  std::vector<std::byte> memory(kStart + kData + index.size() + 64);
  std::byte* file = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;  // as a mapped file lies
  const size_t size = kStart + kData + index.size();
  for (size_t i = 0; i < kData / 4; ++i) {
    const float value = float(int(i * 37 % 64) - 31) / 32;
    std::memcpy(file + kStart + i * 4, &value, 4);
  }
  std::memcpy(file + kStart + kData, index.data(), index.size());
  const auto preamble = packed_preamble({file + kStart + kData, index.size()}, size);
  std::memcpy(file, preamble.data(), preamble.size());
  open({file, size});
}

}  // namespace
}  // namespace gale

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const bool whole = size >= 8 && std::memcmp(data, "GALEPACK", 8) == 0;
  try {
    if (whole)
      gale::parse_packed(std::as_bytes(std::span(data, size)), nullptr, "fuzz.gale");
    else
      gale::open_sealed({reinterpret_cast<const char*>(data), size});
  } catch (const gale::Error&) {
  }
  return 0;
}
