#include <gmock/gmock.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>

#include "gale/error.h"
#include "quant/test_hf_weights.h"
#include "quant/test_weights.h"

namespace gale {
namespace {

using quant_test::dequantize;
using quant_test::made_formats;
using quant_test::quantize;
using quant_test::relative_error;
using quant_test::round_trip;
using quant_test::weights_like;
using ::testing::HasSubstr;

constexpr int64_t kColumns = 1024;

std::vector<float> some_importance() {
  SplitMix64 rng{5};
  std::vector<float> out(kColumns);
  for (float& v : out) {
    const float u = rng.uniform();
    v = 0.01f + 4 * u * u * u * u;
  }
  return out;
}

/// What llama.cpp's own quantizer (ggml of August 2026; ik_llama.cpp's of the same month from q4_0 on) reaches on
/// weights_like(11, 64 x 1024, 0.02, tail): relative error without importance, and error weighted by some_importance() with it.
struct Reference {
  std::string_view format;
  bool tail;
  double plain, weighted;
  double share = 0.95;  // of the weighted error that ours may be: exponents alone are little to choose from
  double plain_share = 0.995;
};
constexpr Reference kReference[] = {
    {"q4_k", false, 0.070216, 0.060978},
    {"q4_k", true, 0.079849, 0.071655},
    {"q5_k", false, 0.035523, 0.031172},
    {"q5_k", true, 0.040500, 0.037760},
    {"mxfp4", false, 0.113367, 0.113340, 0.98},
    {"mxfp4", true, 0.125963, 0.125788},
    {"q6_k", false, 0.017464, 0.015330},
    {"q6_k", true, 0.021054, 0.019732},
    // Without importance the reference's bytes.
    {"q4_0", false, 0.083966, 0.073023, 0.97, 1.00001},
    {"q4_0", true, 0.108400, 0.099769, 0.97, 1.00001},
    {"q4_1", false, 0.077149, 0.059514, 0.97, 1.00001},
    {"q4_1", true, 0.086508, 0.068729, 0.97, 1.00001},
    {"q5_0", false, 0.041746, 0.035920, 0.97, 1.00001},
    {"q5_0", true, 0.054169, 0.049915, 0.97, 1.00001},
    {"q5_1", false, 0.037418, 0.028770, 0.97, 1.00001},
    {"q5_1", true, 0.041866, 0.033496, 0.97, 1.00001},
    // By the square root of importance, which costs weighted error and brings the model's output closer (two_level::with_size).
    {"q2_k", false, 0.291175, 0.215671, 1.005},
    {"q2_k", true, 0.319726, 0.239458, 1.015},
    {"q3_k", false, 0.148342, 0.124541, 0.97},
    {"q3_k", true, 0.174026, 0.149826, 0.97},
    {"iq4_nl", false, 0.075075, 0.065412, 0.97},
    {"iq4_nl", true, 0.089442, 0.080323, 0.97},
    {"iq4_xs", false, 0.075749, 0.066289, 0.97},
    {"iq4_xs", true, 0.090661, 0.082410, 0.97},
    // iq2_xxs and iq2_xs it makes with importance only.
    {"iq2_xxs", false, 0.34, 0.255251},
    {"iq2_xxs", true, 0.38, 0.306507, 0.97},
    {"iq2_xs", false, 0.30, 0.210643, 0.97},
    {"iq2_xs", true, 0.32, 0.245382, 0.97},
    {"iq2_s", false, 0.261301, 0.207556},
    {"iq2_s", true, 0.304748, 0.252811},
    {"iq3_xxs", false, 0.211737, 0.126378},
    {"iq3_xxs", true, 0.242356, 0.148752},
    {"iq3_s", false, 0.164428, 0.105296},
    {"iq3_s", true, 0.184770, 0.132655},
    // The reference knows no importance.
    {"nvfp4", false, 0.103787, 0.104285},
    {"nvfp4", true, 0.100087, 0.102960},
    {"q1_0", false, 0.594806, 0.594268, 1.00001, 1.00001},
    {"q1_0", true, 0.650280, 0.640788, 1.00001, 1.00001},
    {"q2_0", false, 0.706155, 0.706492},
    {"q2_0", true, 0.750188, 0.767333},
    // mistral.rs's definition in numpy, and GPTQ's rounding to nearest.
    {"f8q8", false, 0.028055, 0.028017},
    {"f8q8", true, 0.027519, 0.027524},
    {"gptq2", false, 0.532661, 0.533487},
    {"gptq2", true, 0.713415, 0.728949},
    {"gptq3", false, 0.228818, 0.229253},
    {"gptq3", true, 0.378622, 0.384627},
    {"gptq4", false, 0.106971, 0.106867},
    {"gptq4", true, 0.178880, 0.182086},
    {"gptq8", false, 0.006281, 0.006288},
    {"gptq8", true, 0.010480, 0.010728},
};

TEST(Quantize, ErrsLessThanTheReference) {
  const std::vector<float> importance = some_importance();
  for (const Reference& r : kReference) {
    const Format& format = find_format(r.format);
    const std::vector<float> x = weights_like(11, 64 * kColumns, 0.02f, r.tail);
    EXPECT_LT(relative_error(round_trip(format, x, kColumns), x), r.plain_share * r.plain) << r.format;
    EXPECT_LT(relative_error(round_trip(format, x, kColumns, importance.data()), x, &importance), r.share * r.weighted)
        << r.format;
  }
}

TEST(Quantize, ImportanceLowersTheWeightedError) {
  const std::vector<float> importance = some_importance(), x = weights_like(3, 16 * kColumns, 0.02f);
  for (const std::string_view name : {"q4_0", "q4_1", "q5_0", "q5_1", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k"}) {
    const Format& format = find_format(name);
    const std::vector<float> without = round_trip(format, x, kColumns), with = round_trip(format, x, kColumns, importance.data());
    EXPECT_LT(relative_error(with, x, &importance), 0.9 * relative_error(without, x, &importance)) << name;
  }
}

// A step is small beside what any choice of scale gains.
TEST(Quantize, ImportanceLowersTheWeightedErrorOfEightBitsALittle) {
  const std::vector<float> importance = some_importance(), x = weights_like(3, 16 * kColumns, 0.02f);
  for (const std::string_view name : {"q8_0", "q8_1", "q8_k", "f8q8", "gptq8"}) {
    const Format& format = find_format(name);
    const double without = relative_error(round_trip(format, x, kColumns), x, &importance);
    const double with = relative_error(round_trip(format, x, kColumns, importance.data()), x, &importance);
    EXPECT_LT(with, 0.97 * without) << name;
  }
}

TEST(Quantize, ImportanceLowersTheWeightedErrorOfTablesToo) {
  const std::vector<float> importance = some_importance(), x = weights_like(3, 16 * kColumns, 0.02f);
  for (const std::string_view name : {"iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_nl", "iq4_xs", "tq1_0", "tq2_0"}) {
    const Format& format = find_format(name);
    const double share = name.starts_with("tq") ? 0.995 : 0.98;  // three values leave little to choose
    const std::vector<float> without = round_trip(format, x, kColumns), with = round_trip(format, x, kColumns, importance.data());
    EXPECT_LT(relative_error(with, x, &importance), share * relative_error(without, x, &importance)) << name;
  }
}

// The reference divides by the largest magnitude: the same where weights are ternary, and no good elsewhere.
TEST(Quantize, TernaryTypesErrAsLittleAsThreeValuesCan) {
  const std::vector<float> x = weights_like(3, 16 * kColumns, 0.02f);
  for (const std::string_view name : {"tq1_0", "tq2_0"})
    EXPECT_LT(relative_error(round_trip(find_format(name), x, kColumns), x), 0.445) << name;
}

TEST(Quantize, ErrorsAreWithinTheStepOfEachType) {
  const std::vector<float> x = weights_like(1, 16 * kColumns, 0.02f);
  for (const auto& [name, bound] : {std::pair("f32", 0.0), {"f16", 3e-4}, {"bf16", 2e-3}, {"q8_0", 6e-3}, {"q4_0", 0.09}})
    EXPECT_LE(relative_error(round_trip(find_format(name), x, kColumns), x), bound) << name;
}

// bitsandbytes 0.50.2, hqq 0.2.8, torch's float8_e4m3fn, and MLX's affine_quantize written out in numpy, on the weights below:
// scales of HQQ and MLX in f16, groups of 64; FP8 and integers under a scale for each row, FP8 also for 128 rows and columns.
// q8_0, q8_1 and q8_k by ggml's formulas.
constexpr std::pair<std::string_view, double> kReferenceErrors[] = {
    {"fp8", 0.026442},  {"fp8_block", 0.026575}, {"int8", 0.007510}, {"nf4", 0.092104},  {"fp4", 0.120954},
    {"afq2", 0.387710}, {"afq3", 0.187119},      {"afq4", 0.089485}, {"afq5", 0.043613}, {"afq6", 0.021387},
    {"afq8", 0.005297}, {"hqq1", 1.042453},      {"q8_0", 0.005284}, {"q8_1", 0.005284}, {"q8_k", 0.006650},
    {"hqq2", 0.427474}, {"hqq3", 0.182864},      {"hqq4", 0.085292}, {"hqq8", 0.005025}};

// Of normal weights, relative to their deviation: what the reference algorithms err, measured in numpy, and 1 % more.
TEST(Quantize, ErrorsOfOtherProjectsFormatsAreThoseOfTheirOwnCode) {
  const std::vector<float> x = weights_like(1, 16 * kColumns, 0.02f);
  for (const auto& [name, bound] : kReferenceErrors)
    EXPECT_LE(relative_error(round_trip(find_format(name), x, kColumns), x), 1.01 * bound) << name;
}

// DeepSeek's blocks of 128 x 128, those at the edges smaller: torch's values, bit by bit (max / 448, float8_e4m3fn of the
// quotients, times the scale), of which the hash is that of quant/testdata/make_hf_vectors.py.
TEST(Quantize, Fp8BlocksAreThoseOfTheReference) {
  constexpr int64_t rows = 200, columns = 288;
  const std::vector<float> x = weights_like(21, rows * columns, 0.02f);
  EXPECT_EQ(quant_test::hash_of(round_trip(find_format("fp8_block"), x, columns)), 0xce5f64836592e057u);
  const std::vector<std::byte> all = quantize(find_format("fp8_block"), x, columns);
  std::set<float> scales;
  for (size_t at = 0; at < all.size(); at += 36) {
    float scale;
    std::memcpy(&scale, all.data() + at, 4);
    scales.insert(scale);
  }
  EXPECT_EQ(scales.size(), 6u);  // 2 x 3 blocks
}

// Of one bit theirs errs more than zeros would. Two values for all err 0.603 (the root of 1 - 2 / pi), two for each group a
// little less.
TEST(Quantize, HqqOfOneBitErrsAsLittleAsTwoValuesCan) {
  const std::vector<float> x = weights_like(1, 16 * kColumns, 0.02f);
  EXPECT_LE(relative_error(round_trip(find_format("hqq1"), x, kColumns), x), 0.603);
}

TEST(Quantize, IsDeterministicAndByRow) {
  const std::vector<float> x = weights_like(2, 3 * kColumns, 0.02f), row(x.begin() + kColumns, x.begin() + 2 * kColumns);
  for (const Format* format : made_formats()) {
    const std::vector<std::byte> all = quantize(*format, x, kColumns), one = quantize(*format, row, kColumns);
    EXPECT_EQ(quantize(*format, x, kColumns), all) << format->name;
    if (format->rows_together > 1) continue;  // the rows share scales
    EXPECT_TRUE(std::equal(one.begin(), one.end(), all.begin() + std::ptrdiff_t(one.size()))) << format->name;
  }
}

/// What the format holds, but for those that hold more than f16.
float largest_of(const Format& format) { return format.name == "f8q8" ? 127.0f : format.name == "nvfp4" ? 2688.0f : 65504.0f; }

// Three blocks a row: they do not fill the lanes. Values of every size meet, with importance and without.
std::vector<std::byte> every_kind(const Format& format, Isa isa) {
  constexpr int64_t columns = 768;
  std::vector<float> x = weights_like(8, 12 * columns, 0.02f, true);
  std::fill_n(x.begin(), 300, 0.0f);
  for (int64_t i = 0; i < columns; ++i) {
    x[size_t(columns + i)] = std::fabs(x[size_t(columns + i)]);
    x[size_t(2 * columns + i)] *= 1e-20f;
    x[size_t(3 * columns + i)] *= largest_of(format) * 1.5f;
    x[size_t(4 * columns + i)] = i % 3 == 0 ? -0.0f : -1e-3f;
    x[size_t(5 * columns + i)] = float(i % 16) * 0.125f;  // halves between codes
  }
  const std::vector<float> importance = some_importance();
  std::vector<std::byte> out = quantize(format, x, columns, nullptr, isa);
  std::ranges::copy(quantize(format, x, columns, importance.data(), isa), std::back_inserter(out));
  return out;
}

TEST(Quantize, BitIdentityEveryInstructionSet) {
  for (const Format* format : made_formats())
    for (const Isa isa : detect_cpu().isas)
      EXPECT_EQ(every_kind(*format, isa), every_kind(*format, Isa::generic)) << format->name << " " << isa_name(isa);
}

// The positive control of the test above: a thousandth more of one weight in a thousand is seen.
TEST(BitIdentityControl, SmallChangesOfWeightsMatter) {
  for (const std::string_view name : {"q4_k", "q6_k"}) {
    const std::vector<float> x = weights_like(8, 256 * kColumns, 0.02f);
    std::vector<float> y = x;
    for (size_t i = 0; i < y.size(); i += 1000) y[i] *= 1.001f;
    EXPECT_FALSE(quantize(find_format(name), x, kColumns) == quantize(find_format(name), y, kColumns)) << name;
  }
}

TEST(Quantize, ZeroAndConstantRowsAreExactOrClose) {
  for (const Format* format : made_formats()) {
    const std::vector<float> zeros(512, 0.0f);
    EXPECT_EQ(round_trip(*format, zeros, 256), zeros) << format->name;
    const float most = 0.95f * largest_of(*format);
    for (const float value : {0.25f, -0.25f, 1e-3f, -1e-3f, most, -most}) {
      const std::vector<float> x(256, value);
      const double step = format->name == "mxfp4" ? 0.2 : format->name == "nvfp4" ? 0.04 : 0.02;  // floats of one bit: 1, 1.5, 2
      EXPECT_LT(relative_error(round_trip(*format, x, 256), x), step) << format->name << " " << value;
    }
  }
}

TEST(Quantize, ValuesFarBelowTheFormatBecomeFiniteAndSmall) {
  for (const Format* format : made_formats()) {
    for (const float scale : {1e-8f, 1e-20f, 1e-38f, 1e-44f}) {
      std::vector<float> x = weights_like(4, 256, 1.0f);
      for (float& v : x) v *= scale;
      for (const float got : round_trip(*format, x, 256))
        ASSERT_LE(std::fabs(got), 5e-8f + 8 * scale) << format->name << " " << scale;
    }
  }
}

TEST(Quantize, BlockScalesThatWouldVanishAreKeptAtTheSmallestF16) {
  for (const std::string_view name : {"q4_k", "q5_k", "q6_k", "q3_k"}) {
    for (const float value : {1e-6f, -1e-6f}) {  // over 63 x 15, or 128 x 32, this is 0 as an f16
      const std::vector<float> x(256, value);
      EXPECT_LT(relative_error(round_trip(find_format(name), x, 256), x), 0.05) << name;
    }
  }
}

TEST(Quantize, GroupsOfVeryDifferentSizesAllSurvive) {
  for (const std::string_view name : {"q4_k", "q5_k", "q6_k"}) {
    std::vector<float> x = weights_like(9, 256, 1.0f);
    for (size_t i = 0; i < 64; ++i) x[i] *= 0.05f;
    const std::vector<float> got = round_trip(find_format(name), x, 256);
    const std::vector<float> small(x.begin(), x.begin() + 64), small_got(got.begin(), got.begin() + 64);
    EXPECT_LT(relative_error(small_got, small), 0.2) << name;
  }
}

TEST(Quantize, ValuesThatAreNoNumbersAreRefused) {
  for (const Format* format : made_formats()) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      std::vector<float> x(512, 1.0f);
      x[256 + 77] = bad;
      try {
        quantize(*format, x, 256);
        ADD_FAILURE() << format->name;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::corrupt);
        EXPECT_THAT(error.what(), HasSubstr("row 1, column 77"));
      }
    }
  }
}

TEST(Quantize, ValuesThatDoNotFitAreRefusedNotTurnedIntoInfinity) {
  for (const std::string_view name : {"f16", "q8_0", "q4_k"})
    EXPECT_THROW(quantize(find_format(name), std::vector<float>(256, 1e6f), 256), Error);
  EXPECT_THROW(quantize(find_format("bf16"), std::vector<float>(256, std::numeric_limits<float>::max()), 256), Error);
  EXPECT_NO_THROW(quantize(find_format("bf16"), std::vector<float>(256, 1e38f), 256));
  for (const char* name : {"f8q8", "nvfp4", "q1_0"}) {
    const float most = largest_of(find_format(name));
    EXPECT_NO_THROW(quantize(find_format(name), std::vector<float>(256, most), 256));
    EXPECT_THROW(quantize(find_format(name), std::vector<float>(256, 1.01f * most), 256), Error);
  }
}

// Of a GGUF, beside the weight.
TEST(Quantize, ScalesOverAMatrixOfNvfp4MustBeAboveZero) {
  const Format& format = find_format("nvfp4");
  quant_test::Weight weight(format.stored, 1, 64, quantize(format, weights_like(1, 64, 0.02f), 64));
  RawTensor scale;
  scale.name = "model.layers.0.mlp.up_proj.scale", scale.type = TensorType::f32, scale.shape = {1};
  weight.group.parts["scale"] = &scale;
  for (const float value : {1.5f, 0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    scale.bytes = std::as_bytes(std::span(&value, 1));
    if (value == 1.5f)
      EXPECT_NO_THROW(dequantize(format, weight, weight.whole()));
    else
      EXPECT_THROW(dequantize(format, weight, weight.whole()), Error) << value;
  }
}

TEST(Quantize, ColumnsThatCutABlockAreRefused) {
  for (const Format* format : made_formats()) {
    if (format->columns_multiple == 1) continue;
    const int64_t columns = format->columns_multiple + 16;
    std::vector<float> x(static_cast<size_t>(columns), 1.0f);
    std::vector<std::byte> out(4096);
    EXPECT_THROW(format->quantize(cpu_kernels(Isa::generic), x.data(), 1, columns, nullptr, out.data()), Error) << format->name;
  }
}

TEST(Randomize, RowsAreValidSmallAndRepeatable) {
  for (const Format* format : made_formats()) {
    const auto row = [&](uint64_t seed) {
      std::vector<std::byte> bytes(size_t(row_bytes(format->stored, 4096, "test")));
      format->randomize(seed, 4096, bytes.data());
      return bytes;
    };
    EXPECT_EQ(row(1), row(1)) << format->name;
    EXPECT_NE(row(1), row(2)) << format->name;
    const quant_test::Weight weight(format->stored, 1, 4096, row(3));
    double sum = 0, squares = 0;
    for (const float v : dequantize(*format, weight, weight.whole())) {
      ASSERT_TRUE(std::isfinite(v)) << format->name;
      sum += double(v);
      squares += double(v) * double(v);
    }
    EXPECT_NEAR(sum / 4096, 0, 0.005) << format->name;
    EXPECT_NEAR(std::sqrt(squares / 4096), 0.02, 0.01) << format->name;
  }
}

TEST(Quantize, OddImportanceIsHandled) {
  const std::vector<float> x = weights_like(6, 512, 0.02f);
  for (const std::string_view name :
       {"q4_0",   "q4_1",  "q5_0",  "q5_1",    "q8_0",  "q8_1",    "q8_k",  "q2_k",  "q3_k",  "q4_k", "q5_k", "q6_k", "iq4_nl",
        "iq4_xs", "tq1_0", "tq2_0", "iq2_xxs", "iq2_s", "iq3_xxs", "iq3_s", "mxfp4", "nvfp4", "q1_0", "q2_0", "f8q8", "gptq4"}) {
    const Format& format = find_format(name);
    const double usual = relative_error(round_trip(format, x, 256), x);
    const std::vector<float> zeros(256, 0.0f), huge(256, 1e30f), tiny(256, 1e-30f);
    for (const std::vector<float>& same : {zeros, huge, tiny})
      EXPECT_LT(relative_error(round_trip(format, x, 256, same.data()), x), 1.05 * usual) << name;
    std::vector<float> some(256, 1.0f);
    std::fill(some.begin(), some.begin() + 64, 0.0f);  // columns that never saw an input
    EXPECT_LT(relative_error(round_trip(format, x, 256, some.data()), x), 1.1 * usual) << name;
    for (const float bad : {-1.0f, std::numeric_limits<float>::quiet_NaN()}) {
      some[3] = bad;
      EXPECT_THROW(quantize(format, x, 256, some.data()), Error);
    }
  }
}

}  // namespace
}  // namespace gale
