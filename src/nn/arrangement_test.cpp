#include "nn/arrangement.h"

#include <gmock/gmock.h>

#include <set>

#include "gale/error.h"
#include "kernels/cpu/kernels.h"

namespace gale {
namespace {

TEST(Arrangement, NamesTellLayoutsApart) {
  std::set<std::string> names;
  for (const LayoutKernels& kernels : cpu_kernels(Isa::generic).layouts) {
    EXPECT_TRUE(names.insert(kernels.layout.name()).second) << kernels.layout.name();
    ASSERT_NE(layout_named(kernels.layout.name()), nullptr);
    EXPECT_EQ(*layout_named(kernels.layout.name()), kernels.layout);
  }
  EXPECT_EQ(layout_named("u5 g7 of nothing"), nullptr);
}

TEST(Arrangement, HashesTellArrangementsApart) {
  std::set<uint64_t> hashes;
  for (const LayoutKernels& kernels : cpu_kernels(Isa::generic).layouts) {
    EXPECT_TRUE(hashes.insert(arrangement_hash(kernels.layout)).second) << kernels.layout.name();
    EXPECT_EQ(arrangement_hash(kernels.layout), arrangement_hash(kernels.layout));
  }
}

TEST(Arrangement, BytesThatAreNotTheMatrixAreRefused) {
  const Layout layout = dense_layout(DType::f32);
  const PackedMatrix right = packed_shape(layout, 20, 40);
  std::vector<std::byte> bytes(size_t(right.bytes()) + 64);
  RawTensor tensor;
  tensor.name = tensor.source = "w";
  tensor.layout = layout.name();
  const auto open = [&](size_t n, int64_t rows, int64_t columns) {
    tensor.bytes = std::span(bytes).first(n);
    return arranged_matrix(tensor, rows, columns);
  };
  EXPECT_EQ(open(size_t(right.bytes()), 20, 40).data->data(), bytes.data());
  EXPECT_THROW(open(size_t(right.bytes()) - 64, 20, 40), Error);
  EXPECT_THROW(open(size_t(right.bytes()) + 64, 20, 40), Error);
  EXPECT_THROW(open(size_t(right.bytes()), 20, 400), Error);
  EXPECT_THROW(open(size_t(right.bytes()), 0, 40), Error);
  EXPECT_THROW(open(size_t(right.bytes()), int64_t(1) << 62, int64_t(1) << 62), Error);
  tensor.layout = "u4 g32 u6 b256 f16 min";
  EXPECT_THROW(open(size_t(right.bytes()), 20, 40), Error) << "columns that cut a block";
  tensor.layout = "u4 down g4 f16 real zeros";
  const PackedMatrix down = packed_shape(*layout_named(tensor.layout), 384, 32, 2);
  bytes.resize(size_t(down.bytes()) + 64);
  const auto stack = [&](size_t n, int64_t rows, int64_t columns, int64_t stacked) {
    tensor.bytes = std::span(bytes).first(n);
    return arranged_matrix(tensor, rows, columns, stacked);
  };
  EXPECT_EQ(stack(size_t(down.bytes()), 384, 32, 2).panel(0) - bytes.data(), down.geometry.numbers_bytes());
  EXPECT_THROW(stack(size_t(down.bytes()) + 64, 384, 32, 2), Error);
  EXPECT_THROW(stack(size_t(down.bytes()), 384, 32, 4), Error) << "rows that cut a period";
  EXPECT_THROW(stack(size_t(down.bytes()), 384, 32, 5), Error);
  EXPECT_THROW(stack(size_t(down.bytes()), 400, 32, 1), Error);
  EXPECT_THROW(stack(size_t(down.bytes()), 384, 31, 2), Error);
  tensor.layout = "no layout";
  EXPECT_THROW(open(size_t(right.bytes()), 20, 40), Error);
}

}  // namespace
}  // namespace gale
