#pragma once
#include "engine/export_gguf.h"

namespace gale {

/// Writes any model (as in EngineOptions::model) as a packed .gale file: its matrices as kernels read them, its config and its
/// tokenizer, so that opening it is an mmap. An empty recipe is for the model's own types. What is opened from it gives the bits
/// that opening the model with that --quant gives. Matrix by matrix, so that memory stays small. The file appears whole or not at
/// all. `threads`: 0 for what the machine has. Throws Error.
ExportReport pack_model(const std::string& source, const QuantRecipe& recipe, const std::filesystem::path& output,
                        int threads = 0, const ExportProgress& progress = {});
/// The same from a checkpoint that is open; `name` is what to call it.
ExportReport pack_checkpoint(std::shared_ptr<const Checkpoint> source, const std::string& name, const QuantRecipe& recipe,
                             const std::filesystem::path& output, ThreadPool& pool, const ExportProgress& progress = {});

}  // namespace gale
