#pragma once
#include "checkpoint/checkpoint.h"

namespace gale {

/// Throws Error{unsupported} for a checkpoint whose config names a method of quantization that is not read: what its tensors are,
/// and what comes nearest. A single weight is refused by format_of() too; which of all weights it meets first is chance.
void check_method(const Checkpoint& checkpoint);

}  // namespace gale
