#include "quant/arranged.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/checked.h"
#include "base/fail.h"
#include "kernels/cpu/kernels.h"
#include "kernels/take_apart.h"
#include "quant/blocks.h"

namespace gale {
namespace {

// The rows of each expert are in panels of their own.
struct Stacked {
  int64_t rows, padded;
  PackedMatrix matrix;

  explicit Stacked(const RawTensor& weight) {
    const int64_t experts = weight.shape.rank() == 3 ? weight.shape[0] : 1;
    rows = weight.rows() / experts, padded = experts == 1 ? rows : ceil_div(rows, kPanelRows) * kPanelRows;
    matrix = arranged_matrix(weight, experts * padded, weight.columns(), experts);
  }
  int64_t place(int64_t row) const { return row / rows * padded + row % rows; }
};

void dequantize(const TensorGroup& group, const Slice2& slice, float* out) {
  const RawTensor& weight = blocks::weight_of(group);
  blocks::check_slice(weight, slice, 1);
  const Stacked stacked(weight);
  const int64_t columns = weight.columns();
  std::vector<float> whole(slice.columns == columns ? 0 : size_t(columns));
  for (int64_t r = slice.row; r < slice.row + slice.rows; ++r, out += slice.columns) {
    unpack_row(stacked.matrix, stacked.place(r), whole.empty() ? out : whole.data());
    if (!whole.empty()) std::copy_n(whole.data() + slice.column, slice.columns, out);
  }
}

Layout layout_of(const TensorGroup& group) {
  const RawTensor& weight = blocks::weight_of(group);
  const Layout* layout = layout_named(weight.layout);
  require(layout != nullptr, ErrorCode::corrupt, "{}: the layout \"{}\" is not known", weight.source, weight.layout);
  return *layout;
}

const Format kArranged = {
    .name = "packed",
    .claims = is_arranged,
    .shape = blocks::weight_shape,
    .layout = layout_of,
    .dequantize = dequantize,
    .groups = [](const TensorGroup& group, const Slice2&,
                 LogicalGroups&) { fail(ErrorCode::internal, "{} is arranged already", group.name); },
};

}  // namespace

const Layout* layout_named(std::string_view name) {
  static const auto kNamed = [] {
    std::map<std::string, const Layout*, std::less<>> out;
    for (const LayoutKernels& kernels : cpu_kernels(Isa::generic).layouts) out.emplace(kernels.layout.name(), &kernels.layout);
    return out;
  }();
  const auto found = kNamed.find(name);
  return found == kNamed.end() ? nullptr : found->second;
}

PackedMatrix arranged_matrix(const RawTensor& tensor, int64_t rows, int64_t columns, int64_t stacked) {
  const Layout* layout = layout_named(tensor.layout);
  require(layout != nullptr, ErrorCode::corrupt, "{}: the layout \"{}\" is not known", tensor.source, tensor.layout);
  // No layout has less than a bit to a weight, which keeps the arithmetic below far from overflow.
  const int64_t bytes = int64_t(tensor.bytes.size()), most = bytes * 8;
  const bool whole =
      columns % layout->columns_multiple() == 0 && rows % stacked == 0 && rows / stacked % layout->rows_multiple() == 0;
  require(rows > 0 && columns > 0 && whole && rows <= most && columns <= most / rows, ErrorCode::corrupt,
          "{}: {} rows of {} columns cannot be {} in {} bytes", tensor.source, rows, columns, tensor.layout, bytes);
  PackedMatrix out = packed_shape(*layout, rows, columns, stacked);
  require(out.bytes() == bytes, ErrorCode::corrupt, "{}: {} rows of {} columns as {} take {} bytes, but it has {}", tensor.source,
          rows, columns, tensor.layout, out.bytes(), bytes);
  out.data = borrowed_storage(tensor.bytes.data(), tensor.bytes.size(), tensor.owner);
  return out;
}

void arranged_groups(const TensorGroup& group, int64_t row, int64_t rows, LogicalGroups& out) {
  const Stacked stacked(blocks::weight_of(group));
  take_apart(stacked.matrix, stacked.place(row), rows, out);
}

bool is_arranged(const TensorGroup& group) {
  const RawTensor* weight = group.part("weight");
  return weight != nullptr && !weight->layout.empty();
}

const Format& arranged_format() { return kArranged; }

}  // namespace gale
