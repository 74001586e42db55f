#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "quant/blocks.h"
#include "quant/hf_parts.h"

/// A Format of weights whose rows are cut into groups of one scale, and maybe one offset, each: what most formats of safetensors
/// checkpoints are. Such a format says how its parts are read; what layout they go into, the values and the groups follow.
///
/// A weight W has
///   W(const TensorGroup&)              reads and checks the parts; throws Error{corrupt, unsupported}
///   int64_t out, in                    its shape
///   int64_t run                        columns: every aligned run of as many within a row has one scale
///   Layout layout                      bits, table, form and type of scales; the width of groups is found here
///   codes(const Slice2&, uint8_t* to)  [rows, columns] codes
///   scale(row, column), offset(row, column)
///   int64_t down                       only where groups may run down columns: with R = out / down, outputs r and column c have
///   the
///                                      scale of (r mod R, c); 0: they do not
///   std::vector<int32_t> order         only where columns may be scattered over groups: the columns by group, each of `run`;
///   empty
///                                      where they come so. The rest takes columns as the file has them.
namespace gale::grouped {

constexpr int16_t kWidths[] = {256, 128, 64, 32};  // of groups that kernels have, the cheapest first

/// The widest groups of the kernels that no group of the file is cut by, a scale for more columns, or outputs, being repeated;
/// f32 values for weights whose groups fit none: four bytes each, in memory and in time to read.
template <class W>
Layout layout_of(const W& w) {
  if constexpr (requires { w.down; })
    for (const int16_t width : kDownGroups) {
      Layout out = w.layout;
      out.kind = Layout::Kind::down;
      out.group = out.block = width;
      if (w.down > 0 && w.down % width == 0 && w.out % out.rows_multiple() == 0 && w.in % out.columns_multiple() == 0) return out;
    }
  for (const int16_t width : kWidths)
    if (w.run % width == 0 && w.in % width == 0) {
      Layout out = w.layout;
      out.group = out.block = width;
      return out;
    }
  return dense_layout(DType::f32);
}

inline bool takes_offset(const Layout& layout) { return layout.has_offset() || layout.zeros; }

/// By the formulas of kernels/layout.h.
inline float value_of(const Layout& layout, uint8_t code, float scale, float offset) {
  if (is_number_table(layout.table)) return scale * table_numbers(layout.table)[code];
  if (layout.table != CodeTable::none) return scale * float(table_values(layout.table)[code]);
  if (layout.minimum) return scale * float(code) - offset;
  return scale * (float(code) - (takes_offset(layout) ? offset : float(layout.bias)));
}

/// Throws Error{corrupt} where a group's largest value is none.
inline void check_scale(const TensorGroup& group, const Layout& layout, float scale, float offset, int64_t row, int64_t column) {
  const float largest = layout.table == CodeTable::e5m2   ? 57344
                        : layout.table == CodeTable::e4m3 ? 448
                        : layout.table == CodeTable::e2m1 ? 12
                        : is_number_table(layout.table)   ? 1
                                                          : float(1 << layout.bits);
  require(
      std::isfinite(scale * largest) && std::isfinite(offset), ErrorCode::corrupt,
      "{}: with a scale of {} and an offset of {}, values from row {}, column {} on can be infinite or none; the file is damaged",
      group.name, scale, offset, row, column);
}

/// The columns by group; empty where they come so.
template <class W>
std::span<const int32_t> order_of(const W& w) {
  if constexpr (requires { w.order; })
    return w.order;
  else
    return {};
}

template <class W>
void values(const TensorGroup& group, const W& w, const Slice2& slice, float* out) {
  std::vector<uint8_t> codes(size_t(slice.rows * slice.columns));
  w.codes(slice, codes.data());
  const int64_t run = order_of(w).empty() ? std::gcd(w.run, w.in) : 1;
  for (int64_t r = 0; r < slice.rows; ++r) {
    const int64_t row = slice.row + r;
    float scale = 0, offset = 0;
    for (int64_t c = 0, last = -1; c < slice.columns; ++c) {
      const int64_t column = slice.column + c, at = column / run;
      if (at != last) {
        scale = w.scale(row, column);
        if (takes_offset(w.layout)) offset = w.offset(row, column);
        check_scale(group, w.layout, scale, offset, row, column);
        last = at;
      }
      out[r * slice.columns + c] = value_of(w.layout, codes[size_t(r * slice.columns + c)], scale, offset);
    }
  }
}

template <class W>
void groups(const TensorGroup& group, const Slice2& slice, LogicalGroups& out) {
  const W w(group);
  const Layout layout = layout_of(w);
  const bool dense = layout.kind == Layout::Kind::dense, down = layout.kind == Layout::Kind::down;
  blocks::check_slice(group.name, {w.out, w.in}, slice, layout.columns_multiple());
  out.resize(layout, slice, down ? w.out / layout.group : 0);
  if (dense) return values(group, w, slice, out.values.data());
  const std::span<const int32_t> order = order_of(w);
  if (order.empty()) w.codes(slice, out.codes.data());
  std::vector<uint8_t> row_codes(static_cast<size_t>(order.size()));
  for (int64_t r = 0; !order.empty() && r < slice.rows; ++r) {
    w.codes({slice.row + r, 1, 0, w.in}, row_codes.data());
    for (int64_t c = 0; c < slice.columns; ++c)
      out.codes[size_t(r * slice.columns + c)] = row_codes[size_t(order[size_t(slice.column + c)])];
  }
  const int64_t block = down ? 1 : layout.block, blocks = slice.columns / block;
  for (int64_t r = 0; r < int64_t(out.top.size()) / blocks; ++r)
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t row = slice.row + r, place = slice.column + b * block;
      const int64_t column = order.empty() ? place : order[size_t(place)];
      const float scale = w.scale(row, column), offset = takes_offset(layout) ? w.offset(row, column) : 0;
      check_scale(group, layout, scale, offset, row, column);
      out.top[size_t(r * blocks + b)] = scale;
      if (layout.has_offset()) out.top_min[size_t(r * blocks + b)] = offset;
      if (layout.zeros) out.zero[size_t(r * blocks + b)] = uint8_t(offset);
    }
}

template <class W>
constexpr Format format(std::string_view name, bool (*claims)(const TensorGroup&)) {
  return Format{
      .name = name,
      .claims = claims,
      .shape =
          [](const TensorGroup& group) {
            const W w(group);
            return std::pair(w.out, w.in);
          },
      .layout = [](const TensorGroup& group) { return layout_of(W(group)); },
      .dequantize =
          [](const TensorGroup& group, const Slice2& slice, float* out) {
            const W w(group);
            blocks::check_slice(group.name, {w.out, w.in}, slice, 1);
            values(group, w, slice, out);
          },
      .groups = groups<W>,
      .order =
          [](const TensorGroup& group) {
            const W w(group);
            const bool dense = layout_of(w).kind == Layout::Kind::dense;  // whose columns stay as they come
            const std::span<const int32_t> order = dense ? std::span<const int32_t>() : order_of(w);
            return std::vector<int32_t>(order.begin(), order.end());
          },
  };
}

}  // namespace gale::grouped
