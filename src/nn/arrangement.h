#pragma once
#include <cstdint>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "kernels/matrix.h"

namespace gale {

/// The layout of that name (Layout::name()) among those that kernels read; nullptr where there is none.
const Layout* layout_named(std::string_view name);

/// A hash of the bytes that arrange() makes of a fixed small matrix in this layout. Where anything about the arrangement changes
/// (the order of codes, the geometry of units, the width of scales), so does the hash: no version number needs to be remembered.
uint64_t arrangement_hash(const Layout& layout);

/// Throws Error{unsupported} where a packed file's matrices are not arranged as this program arranges them.
void check_arrangement(const Checkpoint& packed);

/// The matrix in an arranged tensor of [rows, columns], or as many `stacked`, in place: its bytes are the tensor's. Throws
/// Error{corrupt} where they are not as many as the layout takes. REQUIRES: the arrangement was checked.
PackedMatrix arranged_matrix(const RawTensor& tensor, int64_t rows, int64_t columns, int64_t stacked = 1);

}  // namespace gale
