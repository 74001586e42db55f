#include "kernels/weave.h"

#include <algorithm>
#include <cassert>

namespace gale {
namespace {

// A grouped one with a field that this file does not know of is left to arrange_plainly().
bool known(const Layout& l) {
  const Layout same{.kind = Layout::Kind::grouped,
                    .bits = l.bits,
                    .group = l.group,
                    .block = l.block,
                    .top = l.top,
                    .sub = l.sub,
                    .minimum = l.minimum,
                    .bias = l.bias,
                    .table = l.table};
  const bool top = l.top == ScaleType::f16 || l.top == ScaleType::f32;
  return l == same && top && (l.sub == ScaleType::none || l.sub == ScaleType::u6 || l.sub == ScaleType::i8);
}

Weaving codes_of(int bits) {
  switch (bits) {
    case 2:
      return Weaving::codes2;
    case 3:
      return Weaving::codes3;
    case 4:
      return Weaving::codes4;
    case 5:
      return Weaving::codes5;
    case 6:
      return Weaving::codes6;
    default:
      return Weaving::words;
  }
}

struct Panel {
  const CpuKernels& cpu;
  int64_t first, n;
  const PackedMatrix& matrix;
  std::byte* bytes;

  // Rows of `per_row` elements; a unit has `per_unit` of them from `offset` on.
  template <class T>
  void weave(Weaving weaving, const T* values, int64_t per_row, int64_t per_unit, int64_t offset) const {
    WeaveArgs args{.weaving = weaving,
                   .count = n,
                   .bytes = per_row * int64_t(sizeof(T)),
                   .out = bytes + offset,
                   .unit_words = per_unit * int64_t(sizeof(T)) / 4,
                   .unit_bytes = matrix.geometry.bytes};
    for (int64_t lane = 0; lane < n; ++lane)
      args.rows[lane] = reinterpret_cast<const std::byte*>(values + (first + lane) * per_row);
    cpu.weave(args);
  }
};

void weave_grouped(const LogicalGroups& g, const Panel& panel) {
  const Layout& l = panel.matrix.layout;
  const PanelGeometry& at = panel.matrix.geometry;
  const int64_t columns = panel.matrix.columns, unit = at.columns;
  const Weaving top = l.top == ScaleType::f32 ? Weaving::words : Weaving::f16;
  panel.weave(top, g.top.data(), columns / l.block, unit / l.block, at.top);
  if (l.minimum) panel.weave(top, g.top_min.data(), columns / l.block, unit / l.block, at.top_min);
  if (l.two_level()) panel.weave(Weaving::bytes, g.sub.data(), columns / l.group, unit / l.group, at.sub);
  if (l.two_level() && l.minimum)
    panel.weave(Weaving::byte_pairs, g.sub_min.data(), columns / l.group, unit / l.group, at.sub_min);
  // Last: what comes after them waits until they are written.
  panel.weave(codes_of(l.bits), g.codes.data(), columns, unit, at.codes);
}

}  // namespace

bool weave_panel(const CpuKernels& cpu, const LogicalGroups& groups, int64_t first, int64_t n, const PackedMatrix& out,
                 std::byte* panel) {
  assert(n <= kPanelRows);
  if (out.layout.kind == Layout::Kind::down) {
    Panel{cpu, first, n, out, panel}.weave(codes_of(out.layout.bits), groups.codes.data(), out.columns, out.geometry.columns, 0);
    return true;
  }
  if (out.layout.kind == Layout::Kind::grouped) {
    if (!known(out.layout)) return false;
    weave_grouped(groups, {cpu, first, n, out, panel});
    return true;
  }
  if (groups.elements.empty()) return false;
  const DType type = out.layout.dense;
  WeaveArgs args{.weaving = type == DType::f16 ? Weaving::halves : Weaving::words,
                 .count = n,
                 .bytes = out.columns * dtype_size(type),
                 .out = panel,
                 .unit_words = out.geometry.columns * dtype_size(type) / 4,
                 .unit_bytes = out.geometry.bytes};
  std::copy_n(groups.elements.begin() + first, n, args.rows);
  cpu.weave(args);
  return true;
}

}  // namespace gale
