#pragma once
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "gale/weights.h"
#include "nn/weights.h"

namespace gale {

std::vector<WeightInfo> describe(const std::vector<LoadedWeight>& weights);
/// Rows [first, first + count) as f32 [count, columns], columns as inputs are numbered. `expert`: 0 where there is one matrix.
/// Throws Error{not_found} for the name, Error{invalid_argument} out of range.
std::vector<float> rows_of(const std::vector<LoadedWeight>& weights, const std::string& name, int64_t first, int64_t count,
                           int64_t expert);
/// The tensors that make the weight up in the file. Throws Error{not_found}.
std::vector<WeightPart> parts_of(const Checkpoint& checkpoint, const std::string& name);

}  // namespace gale
