#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace gale {

/// The code and constants that this program computes with, as they lie in memory: its own and those of its maths library. Other
/// bytes may mean other results. They do not change while it runs, and are the same each time it is started.
std::vector<std::span<const std::byte>> program_code();

}  // namespace gale
