#include "kernels/layout.h"

#include <fmt/format.h>

namespace gale {
namespace {

const char* scale_name(ScaleType type) {
  switch (type) {
    case ScaleType::none:
      return "none";
    case ScaleType::f32:
      return "f32";
    case ScaleType::f16:
      return "f16";
    case ScaleType::bf16:
      return "bf16";
    case ScaleType::e8m0:
      return "e8m0";
    case ScaleType::e4m3:
      return "e4m3";
    case ScaleType::u4:
      return "u4";
    case ScaleType::u6:
      return "u6";
    case ScaleType::i8:
      return "i8";
  }
  return "?";
}

const char* table_name(CodeTable table) {
  switch (table) {
    case CodeTable::none:
      return "none";
    case CodeTable::e2m1:
      return "e2m1";
    case CodeTable::iq1:
      return "iq1";
    case CodeTable::iq2:
      return "iq2";
    case CodeTable::iq3_xxs:
      return "iq3_xxs";
    case CodeTable::iq3_s:
      return "iq3_s";
    case CodeTable::iq4:
      return "iq4";
  }
  return "?";
}

}  // namespace

std::string Layout::name() const {
  if (kind == Kind::dense) return dtype_name(dense);
  const bool codes = table == CodeTable::none;
  std::string out = codes ? fmt::format("u{} g{}", bits, group) : fmt::format("{} g{}", table_name(table), group);
  if (two_level()) out += fmt::format(" {} b{}", scale_name(sub), block);
  out += fmt::format(" {}", scale_name(top));
  if (zeros) out += " zeros";
  if (codes && !minimum && !zeros && bias != 1 << (bits - 1)) out += fmt::format(" less {}", bias);
  return minimum ? out + " min" : out;
}

Rounding layout_rounding(const Layout& layout) {
  if (layout.kind == Layout::Kind::dense) return layout.dense == DType::bf16 ? Rounding::bf16 : Rounding::none;
  return layout.two_level() ? Rounding::int8_per_256 : Rounding::int8_per_32;
}

void LogicalGroups::resize(const Layout& layout, const Slice2& s) {
  slice = s;
  const bool grouped = layout.kind == Layout::Kind::grouped;
  const size_t count = size_t(s.rows * s.columns);
  const size_t blocks = grouped ? count / size_t(layout.block) : 0;
  const size_t groups = grouped && layout.two_level() ? count / size_t(layout.group) : 0;
  values.resize(grouped ? 0 : count);
  codes.resize(grouped ? count : 0);
  top.resize(blocks);
  top_min.resize(layout.minimum ? blocks : 0);
  zero.resize(layout.zeros ? blocks : 0);
  sub.resize(groups);
  sub_min.resize(layout.minimum ? groups : 0);
  elements.clear();
}

void LogicalGroups::resize_in_place(const Slice2& s) {
  resize(dense_layout(DType::f32), {s.row, 0, s.column, s.columns});
  slice = s;
  elements.resize(size_t(s.rows));
}

}  // namespace gale
