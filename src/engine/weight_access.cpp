#include "engine/weight_access.h"

#include <algorithm>

#include "base/fail.h"

namespace gale {
namespace {

const LoadedWeight& find(const std::vector<LoadedWeight>& weights, const std::string& name) {
  const auto found = std::ranges::find(weights, name, &LoadedWeight::name);
  require(found != weights.end(), ErrorCode::not_found, "the model has no matrix {}; it has {} of them, such as {}", name,
          weights.size(), weights.empty() ? "" : weights.front().name);
  return *found;
}

const PackedMatrix& matrix_of(const LoadedWeight& weight) { return weight.experts ? weight.experts->stacked : *weight.matrix; }
int64_t rows_of(const LoadedWeight& weight) { return weight.experts ? weight.experts->out : weight.matrix->rows; }

WeightPart part_of(const RawTensor& tensor) {
  require(!tensor.woven(), ErrorCode::unsupported, "{} lies woven with another tensor and has no bytes of its own to show",
          tensor.name);
  WeightPart out{tensor.name, std::string(tensor_type_info(tensor.type).name), {}, tensor.bytes};
  for (int i = 0; i < tensor.shape.rank(); ++i) out.shape.push_back(tensor.shape[i]);
  return out;
}

}  // namespace

std::vector<WeightInfo> describe(const std::vector<LoadedWeight>& weights) {
  std::vector<WeightInfo> out;
  for (const LoadedWeight& w : weights) {
    const PackedMatrix& matrix = matrix_of(w);
    out.push_back({.name = w.name,
                   .format = w.format,
                   .layout = matrix.layout.name(),
                   .experts = w.experts ? w.experts->experts : 0,
                   .rows = rows_of(w),
                   .columns = matrix.columns,
                   .bytes = matrix.bytes()});
  }
  return out;
}

std::vector<float> rows_of(const std::vector<LoadedWeight>& weights, const std::string& name, int64_t first, int64_t count,
                           int64_t expert) {
  const LoadedWeight& w = find(weights, name);
  const int64_t rows = rows_of(w), experts = w.experts ? w.experts->experts : 1;
  require(first >= 0 && count >= 0 && first <= rows && count <= rows - first, ErrorCode::invalid_argument,
          "{} has {} rows: {} from row {} on are out of range", name, rows, count, first);
  require(expert >= 0 && expert < experts, ErrorCode::invalid_argument, "{} has {} experts: there is no number {}", name, experts,
          expert);
  const PackedMatrix& matrix = matrix_of(w);
  const int64_t columns = matrix.columns, start = w.experts ? expert * w.experts->panels() * kPanelRows : 0;
  const int32_t* order = w.experts && w.experts->orders ? w.experts->column_order(expert) : nullptr;  // not the matrix's own
  std::vector<float> out(size_t(count * columns)), packed(static_cast<size_t>(columns));
  for (int64_t i = 0; i < count; ++i) {
    float* to = out.data() + i * columns;
    unpack_row(matrix, start + first + i, order ? packed.data() : to);
    for (int64_t c = 0; order && c < columns; ++c) to[order[c]] = packed[size_t(c)];
  }
  return out;
}

std::vector<WeightPart> parts_of(const Checkpoint& checkpoint, const std::string& name) {
  std::vector<WeightPart> out;
  for (const auto& [suffix, tensor] : group_of(checkpoint, name).parts) out.push_back(part_of(*tensor));
  if (out.empty()) {  // experts that are tensors of their own
    const size_t dot = name.rfind('.');
    const std::string kind = dot == name.npos ? "" : name.substr(dot);
    for (int64_t e = 0; dot != name.npos; ++e) {
      const TensorGroup one = group_of(checkpoint, fmt::format("{}.{}{}", name.substr(0, dot), e, kind));
      if (one.parts.empty()) break;
      for (const auto& [suffix, tensor] : one.parts) out.push_back(part_of(*tensor));
    }
  }
  require(!out.empty(), ErrorCode::not_found, "{} has no weight {}", checkpoint.path().string(), name);
  return out;
}

}  // namespace gale
