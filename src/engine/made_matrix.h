#pragma once
#include <vector>

#include "base/threads.h"
#include "quant/format.h"

namespace gale {

/// Rows of a weight.
struct MatrixRows {
  const TensorGroup& group;
  const Format& from;
  int64_t row, rows, columns;
};

/// The layout of a matrix of that shape that is made in this format.
Layout made_layout(const Format& format, int64_t rows, int64_t columns);
/// The groups of a matrix in the format `to`: as they are where it is in that format, in a file or packed, else quantized anew.
/// `importance` of its columns, or nullptr.
LogicalGroups made_groups(const MatrixRows& matrix, const Format& to, const float* importance, ThreadPool& pool);
/// Rows as plain floats of the format `to`; copied where they are such.
std::vector<std::byte> plain_rows(const MatrixRows& matrix, const Format& to, ThreadPool& pool);

}  // namespace gale
