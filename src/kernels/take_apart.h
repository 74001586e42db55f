#pragma once
#include "kernels/matrix.h"

namespace gale {

/// The inverse of arrange() for whole rows: `out` becomes the groups of rows [row, row + rows) of a matrix whose groups lie along
/// rows, columns in the order in which they are packed. Slow: for writing files. REQUIRES: the kind grouped.
void take_apart(const PackedMatrix& matrix, int64_t row, int64_t rows, LogicalGroups& out);

}  // namespace gale
