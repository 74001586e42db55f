#include "engine/made_matrix.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/fail.h"
#include "base/first_error.h"
#include "kernels/cpu/kernels.h"
#include "quant/arranged.h"

namespace gale {
namespace {

constexpr int64_t kRowsPerPiece = 16;

// In that type, in a tensor of its own whose rows lie as it says.
bool is_already(const MatrixRows& m, const Format& to) {
  const RawTensor* weight = m.group.part("weight");
  return weight != nullptr && m.group.parts.size() == 1 && weight->type == to.stored && !weight->woven() &&
         weight->layout.empty();
}

// Packed files that were made before rows shared scales have the type, and scales of their own.
bool shares_scales(const LogicalGroups& groups, const Layout& layout, const Format& to) {
  const int64_t across = groups.slice.columns / layout.block;
  for (int64_t r = 0; to.rows_together > 1 && r < groups.slice.rows; ++r)
    for (int64_t b = 0; b < across; ++b)
      if (groups.top[size_t(r * across + b)] != groups.top[size_t(r / to.rows_together * to.rows_together * across + b)])
        return false;
  return true;
}

LogicalGroups groups_of(const Format& to, const std::vector<std::byte>& bytes, int64_t rows, int64_t columns) {
  RawTensor tensor;
  tensor.name = "quantized";
  tensor.type = to.stored;
  tensor.shape = {rows, columns};
  tensor.bytes = bytes;
  TensorGroup group;
  group.name = tensor.name;
  group.parts = {{"weight", &tensor}};
  LogicalGroups out;
  to.groups(group, {0, rows, 0, columns}, out);
  return out;
}

// Rows as the format `to` stores them.
std::vector<std::byte> quantized(const MatrixRows& m, const Format& to, const float* importance, ThreadPool& pool) {
  static const CpuKernels& cpu = cpu_kernels(isa_to_run(detect_cpu()));  // every set gives the same bytes
  const int64_t stride = row_bytes(to.stored, m.columns, m.group.name),
                piece = std::max<int64_t>(kRowsPerPiece, to.rows_together);
  std::vector<std::byte> out(static_cast<size_t>(m.rows * stride));
  FirstError errors;
  pool.for_each(ceil_div(m.rows, piece), 1, [&](int64_t begin, int64_t end) {
    errors.guard([&] {
      std::vector<float> values;
      for (int64_t first = begin * piece; first < std::min(end * piece, m.rows); first += piece) {
        const int64_t n = std::min(piece, m.rows - first);
        values.resize(size_t(n * m.columns));
        m.from.dequantize(m.group, {m.row + first, n, 0, m.columns}, values.data());
        try {
          to.quantize(cpu, values.data(), n, m.columns, importance, out.data() + first * stride);
        } catch (const Error& e) {
          fail(e.code(), "{}, rows {} to {}, cannot become {}: {}", m.group.name, m.row + first, m.row + first + n - 1, to.name,
               e.what());
        }
      }
    });
  });
  errors.rethrow();
  return out;
}

}  // namespace

Layout made_layout(const Format& format, int64_t rows, int64_t columns) {
  RawTensor blank;
  blank.type = format.stored;
  blank.shape = {rows, columns};
  TensorGroup group;
  group.parts = {{"weight", &blank}};
  return format.layout(group);
}

LogicalGroups made_groups(const MatrixRows& m, const Format& to, const float* importance, ThreadPool& pool) {
  const Layout layout = made_layout(to, m.rows, m.columns);
  LogicalGroups out;
  bool same = is_already(m, to);
  if (same) {
    to.groups(m.group, {m.row, m.rows, 0, m.columns}, out);
  } else if (const RawTensor* weight = m.group.part("weight");
             is_arranged(m.group) && weight->type == to.stored && weight->layout == layout.name()) {
    arranged_groups(m.group, m.row, m.rows, out);
    same = true;
  }
  if (same) {
    out.slice = {0, m.rows, 0, m.columns};
    if (shares_scales(out, layout, to)) return out;
  }
  return groups_of(to, quantized(m, to, importance, pool), m.rows, m.columns);
}

std::vector<std::byte> plain_rows(const MatrixRows& m, const Format& to, ThreadPool& pool) {
  if (!is_already(m, to)) return quantized(m, to, nullptr, pool);
  const RawTensor& weight = *m.group.part("weight");
  const auto stride = size_t(row_bytes(to.stored, m.columns, weight.name));
  std::vector<std::byte> out(stride * size_t(m.rows));
  for (int64_t r = 0; r < m.rows; ++r) std::memcpy(out.data() + size_t(r) * stride, weight.row(m.row + r), stride);
  return out;
}

}  // namespace gale
