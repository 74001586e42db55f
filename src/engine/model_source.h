#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"

namespace gale {

class ThreadPool;

/// True for "random:SHAPE": weights made in the type asked for, which need no quantizing.
bool is_random_model(std::string_view model);
/// Opens what MODEL stands for: a directory or file, "demo", or "random:SHAPE" in the type `random_type`.
/// Throws Error saying what was looked for.
std::shared_ptr<const Checkpoint> open_model(const std::string& model, std::string_view random_type, ThreadPool& pool);

}  // namespace gale
