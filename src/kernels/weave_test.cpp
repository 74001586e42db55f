#include "kernels/weave.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/cpu.h"
#include "kernels/test_matrix.h"

namespace gale {
namespace {

using testing::all_layouts;
using testing::random_groups;

class Weave : public ::testing::TestWithParam<Isa> {};
INSTANTIATE_TEST_SUITE_P(Here, Weave, ::testing::ValuesIn(detect_cpu().isas),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

/// Both ways into panels of their own, and whether the fast one knew how.
bool same_panels(Isa isa, const LogicalGroups& groups, const PackedMatrix& shape, bool& woven) {
  PackedMatrix plain = make_packed(shape.layout, shape.rows, shape.columns),
               fast = make_packed(shape.layout, shape.rows, shape.columns);
  for (int64_t first = 0; first < shape.rows; first += kPanelRows) {
    const int64_t n = std::min(kPanelRows, shape.rows - first);
    arrange_plainly(groups, first, n, plain, plain.panel(first / kPanelRows));
    woven = weave_panel(cpu_kernels(isa), groups, first, n, fast, fast.panel(first / kPanelRows));
    if (!woven) return true;
  }
  return std::memcmp(plain.data->data(), fast.data->data(), size_t(plain.bytes())) == 0;
}

TEST_P(Weave, GroupsEqualTheDefinition) {
  int known = 0;
  for (const Layout& layout : all_layouts())
    for (const int64_t blocks : {1, 2, 3, 8, 9, 17, 40})
      for (const bool extreme : {false, true}) {
        if (layout.kind == Layout::Kind::dense) continue;
        const int64_t columns = blocks * layout.columns_multiple(), rows = testing::whole_rows(layout, 35);
        bool woven = false;
        EXPECT_TRUE(same_panels(GetParam(), random_groups(layout, rows, columns, uint64_t(columns), extreme),
                                packed_shape(layout, rows, columns), woven))
            << layout.name() << " of " << columns;
        known += woven;
      }
  EXPECT_GE(known, 17 * 7 * 2);
}

TEST_P(Weave, ElementsInPlaceEqualTheDefinition) {
  SplitMix64 random{7};
  for (const DType type : {DType::f32, DType::f16, DType::bf16})
    for (const int64_t columns : {1, 2, 15, 16, 31, 32, 33, 63, 64, 100, 257}) {
      const int64_t rows = 35, stride = columns * dtype_size(type) + 3;  // nothing is aligned
      std::vector<std::byte> bytes(size_t(rows * stride));
      for (std::byte& b : bytes) b = std::byte(random());
      LogicalGroups groups;
      groups.resize_in_place({0, rows, 0, columns});
      for (int64_t r = 0; r < rows; ++r) groups.elements[size_t(r)] = bytes.data() + r * stride;
      bool woven = false;
      EXPECT_TRUE(same_panels(GetParam(), groups, packed_shape(dense_layout(type), rows, columns), woven))
          << dtype_name(type) << " of " << columns;
      EXPECT_TRUE(woven);
    }
}

TEST(WeavePanel, FloatsAreLeftToTheDefinition) {
  const Layout layout = dense_layout(DType::f16);
  PackedMatrix out = make_packed(layout, 16, 64);
  EXPECT_FALSE(weave_panel(cpu_kernels(Isa::generic), random_groups(layout, 16, 64, 1), 0, 16, out, out.panel(0)));
}

}  // namespace
}  // namespace gale
