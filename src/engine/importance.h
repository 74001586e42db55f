#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gale/engine.h"
#include "quant/imatrix.h"

namespace gale {

/// An importance matrix seen by the names of a model's weights, whichever names its file has.
class Importance {
 public:
  explicit Importance(std::shared_ptr<const ImportanceMatrix> matrix) : matrix_(std::move(matrix)) {}

  /// Mean squared inputs, f32 [columns], of the weight `name` ("model.layers.0.self_attn.q_proj"; of one expert
  /// "model.layers.0.mlp.experts.3.up_proj", or the fused tensor's name and `expert`). Empty where nothing is known.
  std::vector<float> of(std::string_view name, int64_t expert, int64_t columns) const;
  const std::string& source() const { return matrix_->source; }

 private:
  std::shared_ptr<const ImportanceMatrix> matrix_;
};

/// An engine that adds up the squares of what goes into each matrix of its model, experts by what is routed to them.
class Calibration {
 public:
  /// Opens the model. Throws Error.
  explicit Calibration(const EngineOptions& options);
  ~Calibration();

  /// What runs through it counts.
  Engine& engine() { return *engine_; }
  /// What went in so far, of the matrices into which anything went. REQUIRES: nothing is running. Names are those of tensors in a
  /// GGUF where it has any, with `module_names` those of Hugging Face's modules.
  ImportanceMatrix importance(bool module_names = false) const;

 private:
  class Collector;
  std::unique_ptr<Collector> collector_;
  std::unique_ptr<Engine> engine_;  // after what it uses
};

}  // namespace gale
