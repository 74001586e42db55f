#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gale {

/// A matrix of a model, or the same matrix of all experts of a mixture.
struct WeightInfo {
  std::string name;               ///< "model.layers.0.self_attn.q_proj", of experts "model.layers.0.mlp.experts.up_proj"
  std::string format;             ///< what its values are in now: "q4_k", "gptq", "bf16"
  std::string layout;             ///< how the kernels have it
  int64_t experts = 0;            ///< 0: one matrix
  int64_t rows = 0, columns = 0;  ///< outputs and inputs, of one
  int64_t bytes = 0;              ///< in memory, all experts
};

/// A tensor of the checkpoint that a weight was read from.
struct WeightPart {
  std::string name, type;            ///< "model.layers.0.self_attn.q_proj.qweight", "i32"
  std::vector<int64_t> shape;        ///< [out, in] for a matrix, in elements
  std::span<const std::byte> bytes;  ///< as they lie in the file; valid as long as the engine
};

}  // namespace gale
