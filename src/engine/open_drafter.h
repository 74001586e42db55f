#pragma once
#include <memory>

#include "engine/runtime.h"
#include "gale/engine.h"
#include "speculation/drafter.h"

namespace gale {

/// What can be seen to be wrong with options.draft before anything is loaded. Throws Error{invalid_argument}.
void check_drafter(const EngineOptions& options);
/// The drafter that the options name for `target`, null for none; it must not outlive that one's tokenizer. Throws Error.
std::unique_ptr<Drafter> open_drafter(const EngineOptions& options, const Runtime& target);

}  // namespace gale
