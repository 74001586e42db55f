#pragma once
#include <memory>

#include "engine/export_gguf.h"

namespace gale {

/// Whether a name that is given to write a model to is that of a folder: it ends in no extension of a model file.
bool names_folder(const std::filesystem::path& output);

/// Writes any model as a folder as Hugging Face has them, its matrices in the form in which the type's own library saves them:
/// config.json with its "quantization_config", safetensors in shards of 5 GB, tokenizer, template and generation_config. One
/// matrix is in memory at a time, and the folder appears whole or not at all. Embeddings, heads and routers stay plain floats, as
/// those libraries leave them; MLX's are quantized, heads to 6 bits at least. Throws Error{unsupported} for types that such files
/// have no form for, saying what there is instead.
ExportReport write_folder(const std::string& source, const QuantRecipe& recipe, const std::filesystem::path& output,
                          int threads = 0, const ExportProgress& progress = {});
/// The same from a checkpoint that is open.
ExportReport export_folder(const std::shared_ptr<const Checkpoint>& source, const QuantRecipe& recipe,
                           const std::filesystem::path& output, ThreadPool& pool, const ExportProgress& progress = {});

}  // namespace gale
