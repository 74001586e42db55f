#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "sampling/stages.h"

namespace gale::stages {

/// Where the end of a text stood before. `turned`: the text from its last token to its first. For 0 < i <= turned.size(), the
/// last lengths[i] tokens (and no more) end also i tokens before the end, where turned[i - 1] followed them.
struct Repeats {
  std::span<const int32_t> turned, lengths;
};

/// In one pass. `memory` holds the result.
Repeats find_repeats(const Window& text, std::vector<int32_t>& memory);

}  // namespace gale::stages
