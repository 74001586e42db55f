#pragma once
#include <memory>

#include "checkpoint/checkpoint.h"
#include "gale/engine.h"

namespace gale {

struct Runtime;

/// The engine that steps what was loaded with these options.
std::unique_ptr<Engine> start_engine(const EngineOptions& options, Runtime runtime);
/// Engine::open for a checkpoint made in memory; options.model is only its name.
std::unique_ptr<Engine> open_engine(const EngineOptions& options, std::shared_ptr<const Checkpoint> checkpoint);

}  // namespace gale
