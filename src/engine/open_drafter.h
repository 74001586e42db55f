#pragma once
#include <memory>

#include "gale/engine.h"
#include "speculation/drafter.h"

namespace gale {

/// What can be seen to be wrong with options.draft before anything is loaded. Throws Error{invalid_argument}.
void check_drafter(const EngineOptions& options);
/// The drafter that options.draft names, null for none.
std::unique_ptr<Drafter> open_drafter(const EngineOptions& options);

}  // namespace gale
