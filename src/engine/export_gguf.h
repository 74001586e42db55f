#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "engine/quant_recipe.h"

namespace gale {

class ThreadPool;

/// What a written file holds.
struct ExportReport {
  int64_t tensors = 0, parameters = 0;
  int64_t source_bytes = 0, bytes = 0;  ///< of the tensors
  std::string type;                     ///< as in the recipe, in the place of "auto" the one that was chosen
  std::string note;                     ///< tensors that could not have the type asked for, in one line; "" where all have
};

using ExportProgress = std::function<void(int64_t done, int64_t total)>;  ///< bytes of the source

/// Writes any model (as in EngineOptions::model) as a GGUF of the types that the recipe says. Tensor by tensor, so that memory
/// stays small; tensors that have their type already are copied byte for byte, as are those that the recipe leaves as they are;
/// what GGUF has no type for becomes bf16 then. The file appears whole or not at all. `threads`: 0 for what the machine has.
/// Throws Error.
ExportReport quantize_model(const std::string& source, const QuantRecipe& recipe, const std::filesystem::path& output,
                            int threads = 0, const ExportProgress& progress = {});
/// The same from a checkpoint that is open.
ExportReport export_gguf(const Checkpoint& source, const QuantRecipe& recipe, const std::filesystem::path& output,
                         ThreadPool& pool, const ExportProgress& progress = {});

}  // namespace gale
