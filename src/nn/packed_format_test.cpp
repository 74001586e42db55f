#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/cpu.h"
#include "kernels/ops.h"
#include "quant/format.h"
#include "quant/test_weights.h"

// Where formats and kernels meet: what a Loader packs, read back by every kernel that reads it, is what the format says it is.
namespace gale {
namespace {

constexpr int64_t kRows = 37, kColumns = 768;  // two whole panels and a part of one; three blocks of the widest format

struct Bench {
  explicit Bench(Isa isa) : pool(2), arena(size_t(4) << 20), ctx{arena, pool, cpu_kernels(isa), Precision::exact} {}
  ThreadPool pool;
  Arena arena;
  Ctx ctx;
};

/// As a Loader does: slices that start on whole panels, the last one ragged.
PackedMatrix pack(const Format& format, const quant_test::Weight& weight) {
  PackedMatrix out = make_packed(format.layout(weight.group), kRows, kColumns);
  LogicalGroups groups;
  for (const auto& [first, n] : {std::pair<int64_t, int64_t>{0, kPanelRows}, {kPanelRows, kRows - kPanelRows}}) {
    format.groups(weight.group, {first, n, 0, kColumns}, groups);
    arrange(groups, out);
  }
  return out;
}

/// Index of the first value with other bits, -1 where there is none.
int64_t first_difference(const float* a, const float* b, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    if (std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i])) return i;
  return -1;
}

class PackedFormats : public ::testing::TestWithParam<Isa> {};
INSTANTIATE_TEST_SUITE_P(Here, PackedFormats, ::testing::ValuesIn(detect_cpu().isas),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

TEST(PackedFormat, UnpackedRowsAreTheDequantizedOnes) {
  for (const Format* format : quant_test::typed_formats())
    for (const int fill : {-1, 0x00, 0xff, 0x80, 0x7f}) {
      const quant_test::Weight weight = quant_test::any_weight(*format, kRows, kColumns, fill);
      const std::vector<float> want = quant_test::dequantize(*format, weight, weight.whole());
      const PackedMatrix packed = pack(*format, weight);
      std::vector<float> row(static_cast<size_t>(kColumns));
      for (int64_t r = 0; r < kRows; ++r) {
        unpack_row(packed, r, row.data());
        ASSERT_EQ(first_difference(row.data(), want.data() + r * kColumns, kColumns), -1) << format->name << " row " << r;
      }
      if (fill == -1)
        EXPECT_NE(first_difference(row.data(), want.data(), kColumns), -1) << format->name << ": all rows are alike";
    }
}

TEST_P(PackedFormats, EmbeddingsAreTheDequantizedRows) {
  std::vector<int32_t> ids(static_cast<size_t>(kRows));
  std::iota(ids.rbegin(), ids.rend(), 0);
  for (const Format* format : quant_test::typed_formats()) {
    const quant_test::Weight weight = quant_test::any_weight(*format, kRows, kColumns, -1);
    const std::vector<float> want = quant_test::dequantize(*format, weight, weight.whole());
    const PackedMatrix packed = pack(*format, weight);
    Bench b(GetParam());
    const Tensor got = ops::embedding(b.ctx, ids, packed);
    for (size_t i = 0; i < ids.size(); ++i)
      ASSERT_EQ(first_difference(got.data<float>() + int64_t(i) * kColumns, want.data() + ids[i] * kColumns, kColumns), -1)
          << format->name << " row " << ids[i];
  }
}

TEST_P(PackedFormats, ExactProductsAreThoseOfTheDequantizedWeights) {
  constexpr int64_t kInputs = 3;
  const std::vector<float> x = quant_test::weights_like(11, size_t(kInputs * kColumns), 1);
  for (const Format* format : quant_test::typed_formats()) {
    const quant_test::Weight weight = quant_test::any_weight(*format, kRows, kColumns, -1);
    const std::vector<float> w = quant_test::dequantize(*format, weight, weight.whole());
    const PackedMatrix packed = pack(*format, weight);
    Bench b(GetParam());
    Tensor input = b.ctx.tensor({kInputs, kColumns});
    std::copy(x.begin(), x.end(), input.data<float>());
    const Tensor got = ops::matmul(b.ctx, input, packed);
    const auto product = [&](int64_t r, int64_t o, auto term) {
      double sum = 0;
      for (int64_t k = 0; k < kColumns; ++k)
        sum += term(double(w[size_t(o * kColumns + k)]) * double(x[size_t(r * kColumns + k)]));
      return sum;
    };
    int64_t told_apart = 0;
    for (int64_t r = 0; r < kInputs; ++r)
      for (int64_t o = 0; o < kRows; ++o) {
        const double sizes = product(r, o, [](double t) { return std::fabs(t); });
        const double value = double(got.data<float>()[r * kRows + o]), tolerance = 3e-6 * sizes;
        EXPECT_NEAR(value, product(r, o, [](double t) { return t; }), tolerance) << format->name << " [" << r << ", " << o << "]";
        told_apart += std::fabs(value - product(r, (o + 1) % kRows, [](double t) { return t; })) > tolerance;
      }
    EXPECT_EQ(told_apart, kInputs * kRows) << format->name << ": another row would have passed";
  }
}

}  // namespace
}  // namespace gale
