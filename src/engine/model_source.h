#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"

namespace gale {

class ThreadPool;

/// True for "random:SHAPE": weights made in the type asked for, which need no quantizing.
bool is_random_model(std::string_view model);
/// True for what could be a repository of a hub and is no file or folder here.
bool is_repository(const std::string& model);
/// Which files of a model are needed: all, or only what its text side reads.
enum class ModelFiles { all, text };

/// What MODEL stands for on this machine.
struct LocalModel {
  std::string path;         ///< as open_model() takes it
  std::string quant;        ///< what is left of --quant: "" where a file of that type was chosen
  bool no_weights = false;  ///< a folder that only has the text side
};
/// Anything that is here already stays what it is. Of a repository (org/name[:TYPE][@revision]) what is missing is downloaded
/// first: `progress` hears of its bytes. Throws Error naming both places that were looked at.
LocalModel local_model(const std::string& model, std::string_view quant, ModelFiles files,
                       const std::function<void(int64_t done, int64_t total)>& progress = {});
/// Opens what MODEL stands for: a directory or file, a repository of a hub, "demo", or "random:SHAPE" in the type `random_type`.
/// Throws Error saying what was looked for.
std::shared_ptr<const Checkpoint> open_model(const std::string& model, std::string_view random_type, ThreadPool& pool);

}  // namespace gale
