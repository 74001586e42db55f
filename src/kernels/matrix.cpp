#include "kernels/matrix.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/checked.h"
#include "base/half.h"
#include "kernels/panel.h"

namespace gale {
namespace {

uint8_t* at(const PackedMatrix& m, int64_t panel, int64_t offset) { return reinterpret_cast<uint8_t*>(m.panel(panel)) + offset; }

void arrange_dense_row(const LogicalGroups& g, PackedMatrix& out, int64_t local, int64_t panel, int64_t lane) {
  const float* values = g.values.data() + local * out.columns;
  uint8_t* base = at(out, panel, out.geometry.codes);
  if (out.layout.dense == DType::f32) {
    float* to = reinterpret_cast<float*>(base) + lane;
    for (int64_t k = 0; k < out.columns; ++k) to[k * kPanelRows] = values[k];
    return;
  }
  const bool half = out.layout.dense == DType::f16;
  uint16_t* to = reinterpret_cast<uint16_t*>(base) + lane;
  for (int64_t k = 0; k < out.columns; ++k) to[k * kPanelRows] = half ? f32_to_f16(values[k]) : f32_to_bf16(values[k]);
}

// Scales as f16, lane-interleaved: [n][16].
void put_top(uint8_t* base, const float* values, int64_t n, int64_t lane) {
  uint16_t* to = reinterpret_cast<uint16_t*>(base) + lane;
  for (int64_t i = 0; i < n; ++i) to[i * kPanelRows] = f32_to_f16(values[i]);
}

void put_sub(uint8_t* base, const int16_t* values, int64_t n, int64_t lane) {
  for (int64_t i = 0; i < n; ++i) base[i * kPanelRows + lane] = uint8_t(values[i]);
}

void arrange_grouped_row(const LogicalGroups& g, PackedMatrix& out, int64_t local, int64_t panel, int64_t lane) {
  const Layout& layout = out.layout;
  const PanelGeometry& geometry = out.geometry;
  const uint8_t* codes = g.codes.data() + local * out.columns;
  uint8_t* to = at(out, panel, geometry.codes);
  for (int64_t k = 0; k < out.columns; ++k) put_code(to, layout.bits, k, lane, codes[k]);
  const int64_t blocks = out.columns / layout.block, groups = out.columns / layout.group;
  put_top(at(out, panel, geometry.top), g.top.data() + local * blocks, blocks, lane);
  if (layout.minimum) put_top(at(out, panel, geometry.top_min), g.top_min.data() + local * blocks, blocks, lane);
  if (!layout.two_level()) return;
  put_sub(at(out, panel, geometry.sub), g.sub.data() + local * groups, groups, lane);
  if (layout.minimum) put_sub(at(out, panel, geometry.sub_min), g.sub_min.data() + local * groups, groups, lane);
}

}  // namespace

PanelGeometry panel_geometry(const Layout& layout, int64_t columns) {
  PanelGeometry out;
  int64_t end = 0;
  const auto place = [&](int64_t bytes) {
    const int64_t begin = end;
    end = begin + bytes;
    return begin;
  };
  if (layout.kind == Layout::Kind::dense) {
    out.codes = place(columns * kPanelRows * dtype_size(layout.dense));
  } else {
    assert(columns % layout.block == 0);
    const int64_t top_bytes = columns / layout.block * kPanelRows * 2, sub_bytes = columns / layout.group * kPanelRows;
    out.codes = place(columns * kPanelRows * layout.bits / 8);
    out.top = place(top_bytes);
    if (layout.minimum) out.top_min = place(top_bytes);
    if (layout.two_level()) {
      out.sub = place(sub_bytes);
      if (layout.minimum) out.sub_min = place(sub_bytes);
    }
  }
  out.bytes = round_up(end, 64);
  return out;
}

PackedMatrix make_packed(const Layout& layout, int64_t rows, int64_t columns, bool shape_only) {
  PackedMatrix out{layout, rows, columns, panel_geometry(layout, columns), {}};
  if (!shape_only) out.data = heap_storage(size_t(out.bytes()));
  return out;
}

void arrange(const LogicalGroups& groups, PackedMatrix& out) {
  assert(groups.slice.row % kPanelRows == 0 && groups.slice.columns == out.columns);
  for (int64_t i = 0; i < groups.slice.rows; ++i) {
    const int64_t row = groups.slice.row + i;
    if (out.layout.kind == Layout::Kind::dense)
      arrange_dense_row(groups, out, i, row / kPanelRows, row % kPanelRows);
    else
      arrange_grouped_row(groups, out, i, row / kPanelRows, row % kPanelRows);
  }
}

void unpack_row(const PackedMatrix& m, int64_t row, float* out) {
  const int64_t panel = row / kPanelRows, lane = row % kPanelRows;
  const uint8_t* codes = at(m, panel, m.geometry.codes);
  const Layout& layout = m.layout;
  if (layout.kind == Layout::Kind::dense) {
    for (int64_t k = 0; k < m.columns; ++k) {
      const int64_t i = k * kPanelRows + lane;
      if (layout.dense == DType::f32) {
        out[k] = reinterpret_cast<const float*>(codes)[i];
      } else {
        const uint16_t h = reinterpret_cast<const uint16_t*>(codes)[i];
        out[k] = layout.dense == DType::f16 ? f16_to_f32(h) : bf16_to_f32(h);
      }
    }
    return;
  }
  const uint16_t* top = reinterpret_cast<const uint16_t*>(at(m, panel, m.geometry.top)) + lane;
  const uint16_t* top_min = reinterpret_cast<const uint16_t*>(at(m, panel, m.geometry.top_min)) + lane;
  const uint8_t* sub = at(m, panel, m.geometry.sub) + lane;
  const uint8_t* sub_min = at(m, panel, m.geometry.sub_min) + lane;
  for (int64_t first = 0; first < m.columns; first += layout.group) {
    const int64_t block = first / layout.block * kPanelRows, group = first / layout.group * kPanelRows;
    float scale = f16_to_f32(top[block]);
    float minimum = layout.minimum ? f16_to_f32(top_min[block]) : 0.0f;
    if (layout.two_level()) {
      scale *= layout.sub == ScaleType::i8 ? float(int8_t(sub[group])) : float(sub[group]);
      if (layout.minimum) minimum *= float(sub_min[group]);
    }
    for (int64_t k = first; k < first + layout.group; ++k) {
      const int code = get_code(codes, layout.bits, k, lane);
      out[k] = layout.minimum ? scale * float(code) - minimum : scale * float(code - layout.bias);
    }
  }
}

}  // namespace gale
