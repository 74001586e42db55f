#pragma once
#include <string_view>

#include "kernels/matrix.h"
#include "quant/format.h"

namespace gale {

/// The layout of that name (Layout::name()) among those that kernels read; nullptr where there is none.
const Layout* layout_named(std::string_view name);

/// The matrix in an arranged tensor of [rows, columns], or as many `stacked`, in place: its bytes are the tensor's. Throws
/// Error{corrupt} where they are not as many as the layout takes. REQUIRES: the arrangement was checked (nn/arrangement.h).
PackedMatrix arranged_matrix(const RawTensor& tensor, int64_t rows, int64_t columns, int64_t stacked = 1);

/// True where the weight is a tensor of a packed file, whose bytes are arranged for kernels (RawTensor::layout).
bool is_arranged(const TensorGroup& group);

/// What reads the values of such a weight back, [out, in] or of all experts [experts, out, in]: those that the kernels compute
/// with, which are those of the format it was arranged from. It has no groups: the bytes are used where they lie.
const Format& arranged_format();

/// The groups of whole rows of such a weight, in the layout that it is in, where groups lie along rows. Slow: for writing files.
/// REQUIRES: rows of one matrix, no two experts'.
void arranged_groups(const TensorGroup& group, int64_t row, int64_t rows, LogicalGroups& out);

}  // namespace gale
