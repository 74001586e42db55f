#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvcache/kvcache.h"
#include "nn/config.h"
#include "nn/weights.h"

namespace gale {

/// Hidden rows after chosen layers, for those who need more than the last (draft heads, probes).
struct Taps {
  std::vector<int32_t> layers;  ///< ascending
  std::vector<Tensor> rows;     ///< filled: f32 [rows, hidden], one per layer
};

/// A model ready to run. Immutable after load; forward passes cannot fail.
class Model {
 public:
  virtual ~Model() = default;
  virtual std::vector<CacheLayer> cache_layers() const = 0;
  /// Final hidden rows of batch.wanted, normed: f32 [wanted, hidden].
  virtual Tensor hidden(Ctx& ctx, const Batch& batch, KvCache& kv, Taps* taps = nullptr) const = 0;
  /// Logits of hidden rows: f32 [rows, vocab].
  virtual Tensor head(Ctx& ctx, const Tensor& rows) const = 0;
  virtual int64_t vocab() const = 0;
  virtual int64_t hidden_width() const = 0;
  /// Positions the model was made for.
  virtual int64_t max_positions() const = 0;
};

/// A family file says its names through one of these; the list is generated from the file names.
struct Arch {
  std::string_view file;                    ///< "llama"
  std::span<const std::string_view> names;  ///< as in config.json: "LlamaForCausalLM" ...
  std::unique_ptr<Model> (*build)(const Config& config, const Weights& weights);
};

std::span<const Arch* const> architectures();
/// By name, in any case. Throws Error{unsupported} listing the known ones.
const Arch& find_architecture(std::string_view name);

}  // namespace gale
