#include "kernels/weave.h"

#include <algorithm>
#include <cassert>

namespace gale {
namespace {

// Only layouts written out here: one with a field that this file does not know of is left to arrange_plainly().
constexpr Layout kOneLevel8{
    .kind = Layout::Kind::grouped, .bits = 8, .group = 32, .block = 32, .top = ScaleType::f16, .bias = 128};
constexpr Layout kOneLevel4{.kind = Layout::Kind::grouped, .bits = 4, .group = 32, .block = 32, .top = ScaleType::f16, .bias = 8};
constexpr Layout kTwoLevel4{.kind = Layout::Kind::grouped,
                            .bits = 4,
                            .group = 32,
                            .block = 256,
                            .top = ScaleType::f16,
                            .sub = ScaleType::u6,
                            .minimum = true};
constexpr Layout kTwoLevel6{
    .kind = Layout::Kind::grouped, .bits = 6, .group = 16, .block = 256, .top = ScaleType::f16, .sub = ScaleType::i8, .bias = 32};

bool known(const Layout& layout) {
  return layout == kOneLevel8 || layout == kOneLevel4 || layout == kTwoLevel4 || layout == kTwoLevel6;
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
  panel.weave(Weaving::f16, g.top.data(), columns / l.block, unit / l.block, at.top);
  if (l.minimum) panel.weave(Weaving::f16, g.top_min.data(), columns / l.block, unit / l.block, at.top_min);
  if (l.two_level()) panel.weave(Weaving::bytes, g.sub.data(), columns / l.group, unit / l.group, at.sub);
  if (l.two_level() && l.minimum)
    panel.weave(Weaving::byte_pairs, g.sub_min.data(), columns / l.group, unit / l.group, at.sub_min);
  // Last: what comes after them waits until they are written.
  panel.weave(l.bits == 8   ? Weaving::words
              : l.bits == 4 ? Weaving::codes4
                            : Weaving::codes6,
              g.codes.data(), columns, unit, at.codes);
}

}  // namespace

bool weave_panel(const CpuKernels& cpu, const LogicalGroups& groups, int64_t first, int64_t n, const PackedMatrix& out,
                 std::byte* panel) {
  assert(n <= kPanelRows);
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
