#include "kernels/matrix.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "base/half.h"
#include "kernels/cpu/kernels.h"
#include "kernels/panel.h"
#include "kernels/take_apart.h"
#include "kernels/weave.h"

namespace gale {
namespace {

constexpr int64_t kDenseUnit = 32;
constexpr int64_t kMostGroup = 256;  // columns of a group, of any layout

// The 16 rows of one panel among the slice's, fewer in the last.
struct PanelRows {
  int64_t first = 0, n = 0;
};

template <class T>
void put_elements(const LogicalGroups& g, const PanelRows& rows, int64_t columns, int64_t together, std::byte* panel) {
  T* to = reinterpret_cast<T*>(panel);
  for (int64_t lane = 0; lane < rows.n; ++lane) {
    const std::byte* from = g.elements[size_t(rows.first + lane)];
    for (int64_t k = 0; k < columns; ++k)
      std::memcpy(to + (k / together * kPanelRows + lane) * together + k % together, from + k * int64_t(sizeof(T)), sizeof(T));
  }
}

template <class T, class Convert>
void put_dense(const LogicalGroups& g, const PanelRows& rows, int64_t columns, int64_t together, std::byte* panel,
               Convert convert) {
  T* to = reinterpret_cast<T*>(panel);
  for (int64_t lane = 0; lane < rows.n; ++lane) {
    const float* values = g.values.data() + (rows.first + lane) * columns;
    for (int64_t k = 0; k < columns; ++k) to[(k / together * kPanelRows + lane) * together + k % together] = convert(values[k]);
  }
}

void arrange_dense(const LogicalGroups& g, const PanelRows& rows, int64_t columns, DType type, std::byte* panel) {
  if (!g.elements.empty())
    return type == DType::f32 ? put_elements<uint32_t>(g, rows, columns, 1, panel)
                              : put_elements<uint16_t>(g, rows, columns, type == DType::bf16 ? 2 : 1, panel);
  switch (type) {
    case DType::f16:
      return put_dense<uint16_t>(g, rows, columns, 1, panel, [](float v) { return f32_to_f16(v); });
    case DType::bf16:
      return put_dense<uint16_t>(g, rows, columns, 2, panel, [](float v) { return f32_to_bf16(v); });
    default:
      return put_dense<float>(g, rows, columns, 1, panel, [](float v) { return v; });
  }
}

// A float of 8 bits over 448, its largest, and back.
constexpr float kE4m3Largest = 448;
float e4m3_part(uint8_t byte) { return table_numbers(CodeTable::e4m3)[byte] / kE4m3Largest; }
uint8_t e4m3_byte(float part) {
  int low = 0, high = 0x7e;  // magnitudes, ascending
  while (low < high) {
    const int middle = (low + high) / 2;
    if (e4m3_part(uint8_t(middle)) < std::fabs(part))
      low = middle + 1;
    else
      high = middle;
  }
  return uint8_t(low | (std::signbit(part) ? 0x80 : 0));
}

// n scales of one lane, each 16 further on.
void put_scales(const float* from, ScaleType type, int64_t n, uint8_t* to) {
  if (type == ScaleType::e8m0) {
    for (int64_t i = 0; i < n; ++i) to[i * kPanelRows] = f32_to_half_e8m0(from[i]);
  } else if (type == ScaleType::e4m3) {
    for (int64_t i = 0; i < n; ++i) to[i * kPanelRows] = e4m3_byte(from[i]);
  } else if (type == ScaleType::f32) {
    for (int64_t i = 0; i < n; ++i) reinterpret_cast<float*>(to)[i * kPanelRows] = from[i];
  } else {
    auto* halves = reinterpret_cast<uint16_t*>(to);
    for (int64_t i = 0; i < n; ++i) halves[i * kPanelRows] = type == ScaleType::bf16 ? f32_to_bf16(from[i]) : f32_to_f16(from[i]);
  }
}

float get_scale(const uint8_t* scales, ScaleType type, int64_t block, int64_t lane) {
  const int64_t at = block * kPanelRows + lane;
  const auto* halves = reinterpret_cast<const uint16_t*>(scales);
  switch (type) {
    case ScaleType::e8m0:
      return half_e8m0_to_f32(scales[at]);
    case ScaleType::e4m3:
      return e4m3_part(scales[at]);
    case ScaleType::f32:
      return reinterpret_cast<const float*>(scales)[at];
    case ScaleType::bf16:
      return bf16_to_f32(halves[at]);
    default:
      return f16_to_f32(halves[at]);
  }
}

float sub_scale(const Layout& layout, uint8_t sub) {
  if (layout.sub == ScaleType::e4m3) return table_numbers(CodeTable::e4m3)[sub];
  return layout.sub == ScaleType::i8 ? float(int8_t(sub)) : float(sub);
}

// Sub-scales, or sub-minimums: bytes, or one half of each byte.
enum class SubPart { whole, low, high };
SubPart scale_part(const Layout& layout) { return layout.sub == ScaleType::u4 ? SubPart::low : SubPart::whole; }
SubPart minimum_part(const Layout& layout) { return layout.sub == ScaleType::u4 ? SubPart::high : SubPart::whole; }

void put_sub(uint8_t& to, int16_t value, SubPart part) {
  to = part == SubPart::whole ? uint8_t(value)
       : part == SubPart::low ? uint8_t((to & 0xf0) | value)
                              : uint8_t((to & 0x0f) | value << 4);
}
uint8_t get_sub(uint8_t from, SubPart part) {
  return part == SubPart::whole ? from : part == SubPart::low ? uint8_t(from & 15) : uint8_t(from >> 4);
}

void arrange_grouped(const LogicalGroups& g, const PanelRows& rows, const PackedMatrix& m, std::byte* panel) {
  const Layout& layout = m.layout;
  const PanelGeometry& geometry = m.geometry;
  const int64_t blocks = m.columns / layout.block, groups = m.columns / layout.group;
  for (int64_t u = 0; u < geometry.units; ++u) {
    uint8_t* unit = reinterpret_cast<uint8_t*>(panel) + u * geometry.bytes;
    const int64_t column = u * geometry.columns, columns = std::min(geometry.columns, m.columns - column);
    const int64_t first_block = column / layout.block, first_group = column / layout.group;
    for (int64_t lane = 0; lane < rows.n; ++lane) {
      const int64_t row = rows.first + lane;
      const auto put_top = [&](const std::vector<float>& from, int64_t offset) {
        put_scales(from.data() + row * blocks + first_block, layout.top, columns / layout.block,
                   unit + offset + lane * scale_bytes(layout.top));
      };
      put_codes(g.codes.data() + row * m.columns + column, layout.bits, columns, unit + geometry.codes + lane * 4);
      put_top(g.top, geometry.top);
      if (layout.has_offset()) put_top(g.top_min, geometry.top_min);
      for (int64_t b = 0; layout.zeros && b < columns / layout.block; ++b)
        unit[geometry.zero + b * kPanelRows + lane] = g.zero[size_t(row * blocks + first_block + b)];
      if (!layout.two_level()) continue;
      for (int64_t i = 0; i < columns / layout.group; ++i) {
        const size_t from = size_t(row * groups + first_group + i);
        put_sub(unit[geometry.sub + i * kPanelRows + lane], g.sub[from], scale_part(layout));
        if (layout.minimum) put_sub(unit[geometry.sub_min + sub_min_at(i, lane)], g.sub_min[from], minimum_part(layout));
      }
    }
  }
}

// Codes that have a unit for themselves.
void arrange_codes(const LogicalGroups& g, const PanelRows& rows, const PackedMatrix& m, std::byte* panel) {
  auto* unit = reinterpret_cast<uint8_t*>(panel);
  for (int64_t column = 0; column < m.columns; column += m.geometry.columns, unit += m.geometry.bytes)
    for (int64_t lane = 0; lane < rows.n; ++lane)
      put_codes(g.codes.data() + (rows.first + lane) * m.columns + column, m.layout.bits, m.geometry.columns, unit + lane * 4);
}

// The numbers of groups that run down columns, of those rows of the slice that have some of their own.
void arrange_numbers(const LogicalGroups& g, PackedMatrix& out) {
  const Slice2& s = g.slice;
  const PanelGeometry& at = out.geometry;
  for (int64_t i = 0; i < int64_t(g.top.size()) / s.columns; ++i) {
    const int64_t row = s.row + i, zeros = at.unit_numbers / 2;
    auto* unit = reinterpret_cast<uint8_t*>(out.numbers(row / kPanelRows)) + s.column / at.columns * at.unit_numbers +
                 row % kPanelRows * scale_bytes(out.layout.top);
    for (int64_t k = 0; k < s.columns; k += at.columns, unit += at.unit_numbers) {
      put_scales(g.top.data() + i * s.columns + k, out.layout.top, at.columns, unit);
      put_scales(g.top_min.data() + i * s.columns + k, out.layout.top, at.columns, unit + zeros);
    }
  }
}

}  // namespace

PanelGeometry panel_geometry(const Layout& layout, int64_t rows, int64_t columns) {
  PanelGeometry out;
  if (layout.kind == Layout::Kind::dense) {
    out.columns = kDenseUnit;
    out.bytes = kDenseUnit * kPanelRows * dtype_size(layout.dense);
    out.units = ceil_div(columns, kDenseUnit);
    return out;
  }
  assert(columns % layout.columns_multiple() == 0 && rows % layout.rows_multiple() == 0);
  if (layout.kind == Layout::Kind::down) {
    out.columns = kDownUnit;
    out.bytes = kDownUnit * kPanelRows * layout.bits / 8;
    out.units = columns / kDownUnit;
    out.matrix_panels = rows / kPanelRows;
    out.period = out.matrix_panels / layout.group;
    out.unit_numbers = 2 * kDownUnit * kPanelRows * scale_bytes(layout.top);
    return out;
  }
  out.columns = unit_columns(layout);
  out.units = ceil_div(columns, out.columns);
  int64_t end = 0;
  const auto place = [&](int64_t bytes) {
    const int64_t begin = end;
    end = begin + bytes;
    return begin;
  };
  const int64_t top_bytes = kPanelRows * scale_bytes(layout.top);
  const int64_t blocks = out.columns / layout.block, groups = out.columns / layout.group;
  out.top = place(blocks * top_bytes);
  if (layout.has_offset()) out.top_min = place(blocks * top_bytes);
  if (layout.zeros) out.zero = place(blocks * kPanelRows);
  if (layout.two_level()) {
    out.sub = place(groups * kPanelRows);
    if (layout.minimum) out.sub_min = layout.sub == ScaleType::u4 ? out.sub : place(groups * kPanelRows);
  }
  end = round_up(end, 64);
  out.codes = place(out.columns * kPanelRows * layout.bits / 8);
  out.bytes = round_up(end, 64);
  return out;
}

PackedMatrix packed_shape(const Layout& layout, int64_t rows, int64_t columns, int64_t stacked) {
  return {layout, rows, columns, panel_geometry(layout, rows / stacked, columns), {}, {}};
}

PackedMatrix make_packed(const Layout& layout, int64_t rows, int64_t columns, int64_t stacked) {
  PackedMatrix out = packed_shape(layout, rows, columns, stacked);
  out.data = heap_storage(size_t(out.bytes()));
  return out;
}

void arrange_plainly(const LogicalGroups& groups, int64_t first, int64_t n, const PackedMatrix& out, std::byte* panel) {
  const PanelRows rows{first, n};
  switch (out.layout.kind) {
    case Layout::Kind::dense:
      return arrange_dense(groups, rows, out.columns, out.layout.dense, panel);
    case Layout::Kind::grouped:
      return arrange_grouped(groups, rows, out, panel);
    case Layout::Kind::down:
      return arrange_codes(groups, rows, out, panel);
  }
}

void arrange(const LogicalGroups& groups, PackedMatrix& out) {
  const Slice2& slice = groups.slice;
  PackedMatrix part = out;  // units are the same whatever the width
  part.columns = slice.columns;
  part.geometry.units = ceil_div(slice.columns, part.geometry.columns);
  assert(slice.row % kPanelRows == 0 && slice.column % part.geometry.columns == 0);
  assert(slice.columns % part.geometry.columns == 0 || slice.column + slice.columns == out.columns);
  if (out.layout.kind == Layout::Kind::down) arrange_numbers(groups, out);
  static const CpuKernels& cpu = cpu_kernels(isa_to_run(detect_cpu()));  // every set gives the same bytes
  for (int64_t first = 0; first < slice.rows; first += kPanelRows) {
    const int64_t n = std::min(kPanelRows, slice.rows - first);
    std::byte* units = out.panel((slice.row + first) / kPanelRows) + slice.column / part.geometry.columns * part.geometry.bytes;
    if (!weave_panel(cpu, groups, first, n, part, units)) arrange_plainly(groups, first, n, part, units);
  }
}

namespace {

void unpack_dense(const std::byte* panel, DType type, int64_t lane, int64_t columns, float* out) {
  const auto* halves = reinterpret_cast<const uint16_t*>(panel);
  switch (type) {
    case DType::f16:
      for (int64_t k = 0; k < columns; ++k) out[k] = f16_to_f32(halves[k * kPanelRows + lane]);
      return;
    case DType::bf16:
      for (int64_t k = 0; k < columns; ++k) out[k] = bf16_to_f32(halves[(k / 2 * kPanelRows + lane) * 2 + k % 2]);
      return;
    default:
      for (int64_t k = 0; k < columns; ++k) out[k] = reinterpret_cast<const float*>(panel)[k * kPanelRows + lane];
  }
}

void unpack_down(const PackedMatrix& m, int64_t row, float* out) {
  const PanelGeometry& at = m.geometry;
  const int64_t panel = row / kPanelRows, lane = row % kPanelRows, zeros = at.unit_numbers / 2;
  const auto* codes = reinterpret_cast<const uint8_t*>(m.panel(panel));
  const auto* numbers = reinterpret_cast<const uint8_t*>(m.numbers(panel));
  for (int64_t u = 0; u < at.units; ++u, codes += at.bytes, numbers += at.unit_numbers, out += kDownUnit) {
    uint8_t of_unit[kDownUnit];
    get_codes(codes, m.layout.bits, 0, kDownUnit, lane, of_unit);
    for (int64_t k = 0; k < kDownUnit; ++k)
      out[k] =
          get_scale(numbers, m.layout.top, k, lane) * (float(of_unit[k]) - get_scale(numbers + zeros, m.layout.top, k, lane));
  }
}

}  // namespace

void unpack_row(const PackedMatrix& m, int64_t row, float* out) {
  const std::byte* panel = m.panel(row / kPanelRows);
  const int64_t lane = row % kPanelRows;
  const Layout& layout = m.layout;
  const PanelGeometry& geometry = m.geometry;
  if (layout.kind == Layout::Kind::dense) return unpack_dense(panel, layout.dense, lane, m.columns, out);
  if (layout.kind == Layout::Kind::down) return unpack_down(m, row, out);
  const float* numbers = is_number_table(layout.table) ? table_numbers(layout.table) : nullptr;
  const int8_t* table = numbers || layout.table == CodeTable::none ? nullptr : table_values(layout.table);
  const int32_t* order = m.column_order();
  for (int64_t u = 0; u < geometry.units; ++u) {
    const auto* unit = reinterpret_cast<const uint8_t*>(panel) + u * geometry.bytes;
    const int64_t first = u * geometry.columns, columns = std::min(geometry.columns, m.columns - first);
    for (int64_t k = 0; k < columns; k += layout.group) {
      const int64_t block = k / layout.block, group = k / layout.group;
      float scale = get_scale(unit + geometry.top, layout.top, block, lane);
      float offset = layout.has_offset() ? get_scale(unit + geometry.top_min, layout.top, block, lane) : 0.0f;
      if (layout.two_level()) {
        const uint8_t sub = get_sub(unit[geometry.sub + group * kPanelRows + lane], scale_part(layout));
        scale = layout.divided ? sub_scale(layout, sub) / scale : scale * sub_scale(layout, sub);
        if (layout.minimum) offset *= float(get_sub(unit[geometry.sub_min + sub_min_at(group, lane)], minimum_part(layout)));
      }
      uint8_t codes[kMostGroup];
      get_codes(unit + geometry.codes, layout.bits, k, layout.group, lane, codes);
      const int bias = layout.zeros ? unit[geometry.zero + block * kPanelRows + lane] : layout.bias;
      float sorted[kMostGroup];
      float* to = order ? sorted : out + first + k;
      const int32_t n = layout.group;
      if (layout.minimum)
        for (int32_t i = 0; i < n; ++i) to[i] = scale * float(codes[i]) - offset;
      else if (layout.real_zeros)
        for (int32_t i = 0; i < n; ++i) to[i] = scale * (float(codes[i]) - offset);
      else if (numbers)
        for (int32_t i = 0; i < n; ++i) to[i] = scale * numbers[codes[i]];
      else if (table)
        for (int32_t i = 0; i < n; ++i) to[i] = scale * float(table[codes[i]]);
      else
        for (int32_t i = 0; i < n; ++i) to[i] = scale * float(codes[i] - bias);
      if (order)
        for (int32_t i = 0; i < n; ++i) out[order[first + k + i]] = sorted[i];
    }
  }
}

namespace {

int16_t sub_number(const Layout& layout, uint8_t byte) { return layout.sub == ScaleType::i8 ? int8_t(byte) : byte; }

}  // namespace

void take_apart(const PackedMatrix& m, int64_t row, int64_t rows, LogicalGroups& out) {
  const Layout& layout = m.layout;
  const PanelGeometry& at = m.geometry;
  assert(layout.kind == Layout::Kind::grouped);
  out.resize(layout, {row, rows, 0, m.columns});
  const int64_t blocks = m.columns / layout.block, groups = m.columns / layout.group;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t lane = (row + r) % kPanelRows;
    const auto* unit = reinterpret_cast<const uint8_t*>(m.panel((row + r) / kPanelRows));
    for (int64_t column = 0; column < m.columns; column += at.columns, unit += at.bytes) {
      const int64_t columns = std::min(at.columns, m.columns - column);
      get_codes(unit + at.codes, layout.bits, 0, columns, lane, out.codes.data() + r * m.columns + column);
      for (int64_t b = 0; b < columns / layout.block; ++b) {
        const size_t to = size_t(r * blocks + column / layout.block + b);
        out.top[to] = get_scale(unit + at.top, layout.top, b, lane);
        if (layout.has_offset()) out.top_min[to] = get_scale(unit + at.top_min, layout.top, b, lane);
        if (layout.zeros) out.zero[to] = unit[at.zero + b * kPanelRows + lane];
      }
      for (int64_t g = 0; layout.two_level() && g < columns / layout.group; ++g) {
        const size_t to = size_t(r * groups + column / layout.group + g);
        out.sub[to] = sub_number(layout, get_sub(unit[at.sub + g * kPanelRows + lane], scale_part(layout)));
        if (layout.minimum) out.sub_min[to] = get_sub(unit[at.sub_min + sub_min_at(g, lane)], minimum_part(layout));
      }
    }
  }
}

}  // namespace gale
