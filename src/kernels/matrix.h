#pragma once
#include <cstdint>

#include "kernels/layout.h"
#include "tensor/storage.h"

namespace gale {

/// A panel is a row of units, each with everything about the same few columns, in the order kernels walk K: the scale arrays
/// [blocks or groups of the unit][16], then the codes (panel.h), from a multiple of 64 bytes on. Units of dense panels are
/// [columns][16], for bf16 [column pairs][16][2]. Sub-scales of 4 bits and their sub-minimums share bytes: the low and the high
/// halves of what would be an array of each.
/// Where groups run down columns, units are codes only. The numbers of all groups lie before the panels, for as many panels as
/// have some of their own, panel i reading those of i mod `period`: of each unit the scales [columns][16], then the zeros.
struct PanelGeometry {
  int64_t columns = 0;                                                      ///< of a unit; the last one is filled up with zeros
  int64_t top = 0, top_min = 0, zero = 0, sub = 0, sub_min = 0, codes = 0;  ///< in bytes from the unit's start
  int64_t bytes = 0;                                                        ///< of a unit, a multiple of 64
  int64_t units = 0;                                                        ///< of a panel
  int64_t period = 0;                                                       ///< panels with numbers of their own; 0: all have
  int64_t matrix_panels = 0;                                                ///< then those of a matrix
  int64_t unit_numbers = 0;                                                 ///< and the bytes of numbers of a unit

  int64_t panel_bytes() const { return units * bytes; }
  int64_t numbers_bytes() const { return period * units * unit_numbers; }
  /// Matrices of a stack that begin with panel i or before it: as often numbers lie before it. 0 where there are none.
  int64_t numbers_before(int64_t i) const { return period > 0 ? i / matrix_panels + 1 : 0; }
};
/// Bytes of a top scale.
constexpr int64_t scale_bytes(ScaleType type) {
  return type == ScaleType::e8m0 || type == ScaleType::e4m3 ? 1 : type == ScaleType::f32 ? 4 : 2;
}
/// Columns of a unit of a grouped layout. One-level units span as many groups as fill cache lines with their scales, within
/// limits: a rounded input row is a multiple of the largest.
constexpr int64_t unit_columns(const Layout& layout) {
  const int64_t bytes = scale_bytes(layout.top) + (layout.zeros ? 1 : 0);
  int64_t columns = layout.block < 64 ? 64 : layout.block;
  while (columns < 256 && columns / layout.block * bytes * kPanelRows % 64 != 0) columns *= 2;
  return columns;
}

/// REQUIRES: rows, of one matrix, and columns are multiples of those of the layout.
PanelGeometry panel_geometry(const Layout& layout, int64_t rows, int64_t columns);

/// A matrix [rows, columns] arranged for the kernels: y = x W^T. Immutable once filled; shared by everything that uses it.
/// Columns may be packed in an order of their own (weights whose groups are scattered over a row); everybody else numbers them as
/// the inputs are.
struct PackedMatrix {
  Layout layout;
  int64_t rows = 0, columns = 0;
  PanelGeometry geometry;
  StorageRef data;   ///< bytes()
  StorageRef order;  ///< i32 [columns]: the input column of each packed one, a permutation; null: they are packed as they come

  int64_t panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  int64_t bytes() const { return panel_at(panels() - 1) + geometry.panel_bytes(); }
  std::byte* panel(int64_t i) const { return data->data() + panel_at(i); }
  /// The numbers of the groups that the panel's codes are in, where these run down columns.
  std::byte* numbers(int64_t i) const {
    const PanelGeometry& g = geometry;
    const int64_t first = i / g.matrix_panels * g.matrix_panels;
    return panel(first) - g.numbers_bytes() + i % g.period * g.units * g.unit_numbers;
  }
  const int32_t* column_order() const { return order ? reinterpret_cast<const int32_t*>(order->data()) : nullptr; }

 private:
  int64_t panel_at(int64_t i) const { return i * geometry.panel_bytes() + geometry.numbers_before(i) * geometry.numbers_bytes(); }
};

/// A matrix of that shape without memory: `data` is the caller's to set, bytes() of zeros. `stacked`: as many matrices of whole
/// panels, one after another.
PackedMatrix packed_shape(const Layout& layout, int64_t rows, int64_t columns, int64_t stacked = 1);
/// The same with memory of its own. Throws Error{out_of_memory} where there is not enough.
PackedMatrix make_packed(const Layout& layout, int64_t rows, int64_t columns, int64_t stacked = 1);

/// Arranges rows, or columns of them, into their panels; the groups' columns come in the matrix's order. REQUIRES: the slice
/// starts on a multiple of 16 rows and of the columns of a unit, and ends on such multiples or where the matrix does. Slices may
/// be arranged from different threads.
void arrange(const LogicalGroups& groups, PackedMatrix& out);
/// The definition of what arrange() does for rows [first, first + n) of the slice, n <= 16, which are one panel: code by code,
/// for every layout. `out` gives layout and geometry, as wide as the slice. weave.h is the fast way for the usual layouts.
void arrange_plainly(const LogicalGroups& groups, int64_t first, int64_t n, const PackedMatrix& out, std::byte* panel);

/// f32 values of one output row, [columns], by the layout's formula: what embeddings read.
void unpack_row(const PackedMatrix& matrix, int64_t row, float* out);

}  // namespace gale
