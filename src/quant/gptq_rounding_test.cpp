#include <gmock/gmock.h>

#include <fstream>

#include "base/threads.h"
#include "gale/error.h"
#include "quant/gptq.h"
#include "quant/hf_parts.h"
#include "quant/test_weights.h"

// Rounding that makes up for its errors, against numpy and against rounding to nearest.
namespace gale {
namespace {

using quant_test::quantize;
using quant_test::Weight;
using quant_test::weights_like;

constexpr int64_t kColumns = 256, kRows = 16, kInputs = 512;

/// testdata/make_gptq_rounding.py has the same.
std::vector<float> inputs() {
  std::vector<float> x = weights_like(22, size_t(kInputs * kColumns), 1);
  for (int64_t r = 0; r < kInputs; ++r) {
    float* row = x.data() + r * kColumns;
    for (int64_t i = 1; i < kColumns; ++i) row[i] = row[i] + 0.9f * row[i - 1];
    for (int64_t i = 0; i < kColumns; i += 37) row[i] *= 10;
    row[100] = 0;
  }
  return x;
}

GptqPlan plan(int threads = 2) {
  ThreadPool pool(threads);
  InputHessian hessian(kColumns);
  const std::vector<float> x = inputs();
  hessian.add(x.data(), kInputs / 2, pool);
  hessian.add(x.data() + kInputs / 2 * kColumns, kInputs / 2, pool);
  EXPECT_EQ(hessian.rows(), kInputs);
  return plan_gptq(hessian, pool);
}

std::vector<std::byte> by_gptq(const Format& format, const GptqPlan& plan, const std::vector<float>& w) {
  const int64_t rows = int64_t(w.size()) / kColumns;
  std::vector<std::byte> out(size_t(rows * row_bytes(format.stored, kColumns, "test")));
  format.quantize_by(plan, w.data(), rows, out.data());
  return out;
}

/// The root of the mean square that outputs are off by, as inputs() go through.
double output_error(const Format& format, const std::vector<std::byte>& bytes, const std::vector<float>& w) {
  const Weight weight(format.stored, kRows, kColumns, bytes);
  const std::vector<float> got = quant_test::dequantize(format, weight, weight.whole()), x = inputs();
  double sum = 0;
  for (int64_t r = 0; r < kInputs; ++r)
    for (int64_t o = 0; o < kRows; ++o) {
      double off = 0;
      for (int64_t i = 0; i < kColumns; ++i)
        off +=
            double(x[size_t(r * kColumns + i)]) * (double(got[size_t(o * kColumns + i)]) - double(w[size_t(o * kColumns + i)]));
      sum += off * off;
    }
  return std::sqrt(sum / double(kInputs * kRows));
}

const Format& format_of_bits(int bits) { return find_format("gptq" + std::to_string(bits)); }

TEST(GptqRounding, CodesOfAnotherImplementation) {
  std::ifstream file(GALE_SOURCE_DIR "/src/quant/testdata/gptq_rounding.txt");
  const std::vector<float> w = weights_like(21, size_t(kRows * kColumns), 0.02f);
  const GptqPlan p = plan();
  int lines = 0;
  for (std::string bits, hex; file >> bits >> hex; ++lines) {
    const int width = std::stoi(bits);
    const Format& format = format_of_bits(width);
    const std::vector<std::byte> bytes = by_gptq(format, p, w);
    const int64_t block = tensor_type_info(format.stored).bytes;
    int64_t same = 0, near = 0;
    for (int64_t b = 0; b < kRows * 2; ++b) {
      uint8_t codes[128];
      hf::unpack_bits(bytes.data() + b * block + 2, width, 0, 128, codes);
      for (int64_t i = 0; i < 128; ++i) {
        const int want = std::stoi(hex.substr(size_t(2 * (b * 128 + i)), 2), nullptr, 16);
        same += want == int(codes[i]);
        near += std::abs(want - int(codes[i])) <= 1;
      }
    }
    // A value halfway between codes falls to one side in f32 and to the other in f64, and moves those after it.
    EXPECT_GE(same, kRows * kColumns * 97 / 100) << bits;
    EXPECT_GE(near, kRows * kColumns * 998 / 1000) << bits;
  }
  EXPECT_EQ(lines, 4);
}

TEST(GptqRounding, OutputsErrLessThanByRoundingToNearest) {
  const std::vector<float> w = weights_like(21, size_t(kRows * kColumns), 0.02f);
  const GptqPlan p = plan();
  for (const auto& [bits, share] : {std::pair(2, 0.6), {3, 0.6}, {4, 0.6}, {8, 0.6}}) {
    const Format& format = format_of_bits(bits);
    const double nearest = output_error(format, quantize(format, w, kColumns), w);
    const double weighted = output_error(format, quantize(format, w, kColumns, p.importance.data()), w);
    const double by = output_error(format, by_gptq(format, p, w), w);
    EXPECT_LT(by, share * nearest) << bits;
    EXPECT_LT(by, share * weighted) << bits;
  }
}

TEST(GptqRounding, RowsDoNotDependOnEachOtherNorOnThreads) {
  const std::vector<float> w = weights_like(23, size_t(37 * kColumns), 0.02f);
  const GptqPlan p = plan();
  EXPECT_EQ(p.upper, plan(1).upper);
  const Format& format = format_of_bits(4);
  const std::vector<std::byte> all = by_gptq(format, p, w);
  const size_t row = all.size() / 37;
  for (const size_t r : {size_t(0), size_t(15), size_t(16), size_t(36)}) {
    const std::vector<float> one(w.begin() + std::ptrdiff_t(r) * kColumns, w.begin() + std::ptrdiff_t(r + 1) * kColumns);
    const std::vector<std::byte> got = by_gptq(format, p, one);
    EXPECT_TRUE(std::equal(got.begin(), got.end(), all.begin() + std::ptrdiff_t(r * row))) << r;
  }
}

TEST(GptqRounding, ColumnsNeverSeenAreRoundedToNearest) {
  ThreadPool pool(1);
  const GptqPlan p = plan_gptq(InputHessian(kColumns), pool);  // no inputs at all
  const std::vector<float> w = weights_like(24, size_t(3 * kColumns), 0.02f);
  for (const int bits : {2, 4}) {
    const Format& format = format_of_bits(bits);
    EXPECT_EQ(by_gptq(format, p, w), quantize(format, w, kColumns, p.importance.data()));
  }
}

TEST(GptqRounding, InputsOfOneDirectionAreDampedUntilTheyFactor) {
  ThreadPool pool(2);
  InputHessian hessian(kColumns);
  const std::vector<float> x(static_cast<size_t>(kColumns), 1e3f);
  hessian.add(x.data(), 1, pool);
  const GptqPlan p = plan_gptq(hessian, pool, 1e-9f);
  for (const float share : p.upper) ASSERT_TRUE(std::isfinite(share));
}

TEST(GptqRounding, SumsThatAreNoneAreRefused) {
  ThreadPool pool(1);
  for (const float bad : {-1.0f, INFINITY, NAN}) {
    InputHessian hessian(kColumns);
    hessian.sums()[0] = bad;
    EXPECT_THROW(plan_gptq(hessian, pool), Error);
  }
  InputHessian odd(kColumns);
  for (int64_t i = 0; i < kColumns; ++i) odd.sums()[i * kColumns + i] = 1;
  odd.sums()[kColumns] = 1e6f;  // more than the product of what it is of
  EXPECT_THROW(plan_gptq(odd, pool), Error);
}

}  // namespace
}  // namespace gale
