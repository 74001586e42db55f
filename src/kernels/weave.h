#pragma once
#include "kernels/cpu/kernels.h"
#include "kernels/matrix.h"

namespace gale {

/// What arrange_plainly() does, sixteen rows at a time: a transpose of words, and a few operations on whole vectors. False, and
/// nothing done, for layouts and groups that it has no way for. Every instruction set gives the same bytes.
bool weave_panel(const CpuKernels& cpu, const LogicalGroups& groups, int64_t first, int64_t n, const PackedMatrix& out,
                 std::byte* panel);

}  // namespace gale
