#include "engine/cache_identity.h"

#include <fmt/format.h>

#include <future>

#include "base/json.h"
#include "base/program_code.h"
#include "checkpoint/hash.h"
#include "kvcache/kv_format.h"

namespace gale {
namespace {

constexpr size_t kSmall = size_t(1) << 20;

std::string line_of(const LoadedWeight& weight) {
  const PackedMatrix& matrix = weight.experts ? weight.experts->stacked : *weight.matrix;
  const StorageRef& order = weight.experts ? weight.experts->orders : matrix.order;
  const uint64_t values = hash_bytes({matrix.data->data(), size_t(matrix.bytes())});
  const uint64_t ordered = order ? hash_bytes({order->data(), order->size()}) : 0;
  return fmt::format("{} {} {}x{} {:x} {:x}\n", weight.name, matrix.layout.name(), matrix.rows, matrix.columns, values, ordered);
}

// Each on the next free thread of a few: one alone reads slower than the memory gives.
std::string lines_of(std::span<const LoadedWeight> weights) {
  constexpr size_t kThreads = 4;
  std::vector<std::string> lines(weights.size());
  std::vector<std::future<void>> parts;
  for (size_t t = 0; t < kThreads; ++t)
    parts.push_back(std::async(std::launch::async, [&, t] {
      for (size_t i = t; i < weights.size(); i += kThreads) lines[i] = line_of(weights[i]);
    }));
  for (auto& part : parts) part.get();
  std::string out;
  for (const std::string& line : lines) out += line;
  return out;
}

std::string line_of(const CacheLayer& layer) {
  if (const auto* self = std::get_if<SelfLayer>(&layer))
    return fmt::format("self {} {} {} {}\n", self->heads, self->k_width, self->v_width, self->window);
  if (const auto* shared = std::get_if<SharedLayer>(&layer)) return fmt::format("as {}\n", shared->layer);
  if (const auto* state = std::get_if<StateLayer>(&layer)) return fmt::format("state {} {}\n", state->bytes, state->row_bytes);
  if (const auto* cross = std::get_if<CrossLayer>(&layer))
    return fmt::format("cross {} {} {}\n", cross->heads, cross->k_width, cross->v_width);
  return "none\n";
}

std::string code_of(Isa isa, int64_t block_slots) {
  const CpuFeatures cpu = detect_cpu();
  std::string out = fmt::format("{} {} {}", cpu.model, isa_name(isa), block_slots);
  for (const auto& segment : program_code()) out += fmt::format(" {:x}", hash_bytes(segment));
  for (const std::string& flag : cpu.flags) out += " " + flag;
  return out;
}

Digest256 hash_text(const KeyedHash& hash, std::string_view first, std::string_view second = {}) {
  return hash(std::as_bytes(std::span(first)), std::as_bytes(std::span(second)));
}

}  // namespace

Digest256 CacheIdentity::model_digest(const KeyedHash& hash) const { return hash_text(hash, "model\n", model); }
// The model has lines of its own making only up to here, and no zero byte.
Digest256 CacheIdentity::digest(const KeyedHash& hash) const { return hash_text(hash, model + '\0', code); }

CacheIdentity cache_identity(const Checkpoint& checkpoint, std::span<const LoadedWeight> weights,
                             std::span<const CacheLayer> layers, const KvFormat& format, Precision precision, Isa isa) {
  CacheIdentity out;
  out.model = checkpoint.config().dump() + "\n" + lines_of(weights);
  for (const RawTensor& tensor : checkpoint.tensors())  // norms, biases, and whatever else is no matrix
    if (tensor.shape.rank() < 2 || tensor.bytes.size() <= kSmall)
      out.model += fmt::format("{} {:x}\n", tensor.name, hash_bytes(tensor.bytes));
  for (const CacheLayer& layer : layers) out.model += line_of(layer);
  out.model += kv_format_name(format) + (precision == Precision::exact ? " exact" : "");
  out.code = code_of(isa, format.block_slots);
  return out;
}

}  // namespace gale
