#pragma once
#include <cstdint>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "quant/arranged.h"

namespace gale {

/// A hash of the bytes that arrange() makes of a fixed small matrix in this layout. Where anything about the arrangement changes
/// (the order of codes, the geometry of units, the width of scales), so does the hash: no version number needs to be remembered.
uint64_t arrangement_hash(const Layout& layout);

/// Throws Error{unsupported} where a packed file's matrices are not arranged as this program arranges them.
void check_arrangement(const Checkpoint& packed);

}  // namespace gale
