#include "kernels/ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "kernels/test_matrix.h"
#include "kernels/test_ops.h"

namespace gale {
namespace {

using testing::all_layouts;
using testing::Bench;
using testing::random_matrix;
using testing::random_order;
using testing::random_values;
using testing::same_bits;
using testing::values_of;
using testing::whole_rows;

class EveryIsa : public ::testing::TestWithParam<Isa> {};

std::string isa_param(const ::testing::TestParamInfo<Isa>& info) { return isa_name(info.param); }
INSTANTIATE_TEST_SUITE_P(Here, EveryIsa, ::testing::ValuesIn(detect_cpu().isas), isa_param);

std::vector<float> run_matmul(Isa isa, const PackedMatrix& w, const std::vector<float>& x, int64_t rows, Precision precision,
                              int threads = 1) {
  Bench b(isa, threads, precision);
  return values_of(ops::matmul(b.ctx, b.tensor({rows, w.columns}, x), w));
}

TEST_P(EveryIsa, OverrideTakesEffect) {
  const CpuFeatures cpu = detect_cpu();
  const Isa chosen = choose_isa(cpu, isa_name(GetParam()));
  EXPECT_EQ(chosen, GetParam());
  EXPECT_EQ(cpu_kernels(chosen).isa, GetParam());
}

bool fits(const Layout& layout, int64_t columns) { return columns % layout.columns_multiple() == 0; }

// Every layout x rows x ragged sizes, standard and exact, codes random and at their extremes: the same bits as `generic`.
TEST_P(EveryIsa, MatmulEqualsGeneric) {
  for (const Layout& layout : all_layouts())
    for (const auto& [rows, least_out, in] : {std::tuple<int64_t, int64_t, int64_t>{1, 16, 256},
                                              {2, 17, 512},
                                              {3, 33, 256},
                                              {5, 100, 768},
                                              {8, 64, 256},
                                              {17, 40, 1024},
                                              {70, 31, 256},
                                              {1, 80, 2048},
                                              {9, 65, 96},     // half a unit of groups
                                              {6, 90, 37},     // odd, and no whole unit
                                              {9, 16, 8192}})  // K in several pieces
      for (bool extreme : {false, true})
        for (Precision precision : {Precision::standard, Precision::exact}) {
          if (!fits(layout, in)) continue;
          const int64_t out = whole_rows(layout, least_out);
          const PackedMatrix w = random_matrix(layout, out, in, uint64_t(rows * 1000 + out), extreme);
          const auto x = random_values(rows * in, 7, extreme ? 1e4f : 1.0f);
          EXPECT_TRUE(same_bits(run_matmul(GetParam(), w, x, rows, precision), run_matmul(Isa::generic, w, x, rows, precision)))
              << layout.name() << " rows " << rows << " out " << out << " in " << in
              << (precision == Precision::exact ? " exact" : "");
        }
}

// Against f64 sums over the layout's own values: exact mode to rounding error, standard mode to the error of int8 inputs.
TEST_P(EveryIsa, MatmulMatchesDoubleReference) {
  const int64_t rows = 5;
  for (const auto& [layout, in] : [] {
         std::vector<std::pair<Layout, int64_t>> out;
         for (const Layout& layout : all_layouts())
           for (const int64_t in : {512, 96, 37})
             if (fits(layout, in)) out.emplace_back(layout, in);
         return out;
       }()) {
    const int64_t out = whole_rows(layout, 50);
    const PackedMatrix w = random_matrix(layout, out, in, 3);
    const auto x = random_values(rows * in, 4);
    const auto exact = run_matmul(GetParam(), w, x, rows, Precision::exact),
               rounded = run_matmul(GetParam(), w, x, rows, Precision::standard);
    std::vector<float> row(static_cast<size_t>(in));
    for (int64_t o = 0; o < out; ++o) {
      unpack_row(w, o, row.data());
      for (int64_t r = 0; r < rows; ++r) {
        double sum = 0, squares = 0;
        for (int64_t k = 0; k < in; ++k) {
          const double term = double(row[size_t(k)]) * x[size_t(r * in + k)];
          sum += term;
          squares += term * term;
        }
        EXPECT_NEAR(exact[size_t(r * out + o)], sum, 2e-6 * std::sqrt(squares) * std::sqrt(double(in)) + 1e-9) << layout.name();
        EXPECT_NEAR(rounded[size_t(r * out + o)], sum, 0.05 * std::sqrt(squares) + 1e-6) << layout.name();
      }
    }
  }
}

// The same weights quantized along rows and down columns: scaling inputs before they are rounded costs no more than rounding them
// as they are, and less where columns differ in size.
TEST(ScaledInputs, ErrAsRoundedOnes) {
  constexpr int64_t kRows = 256, kIn = 512, kInputs = 4;
  constexpr int16_t kGroup = 16, kWide = 64;
  for (const float spread : {0.0f, 2.0f}) {
    std::vector<float> w = random_values(kRows * kIn, 1), x = random_values(kInputs * kIn, 2);
    const std::vector<float> exponents = random_values(kIn, 3, spread);
    for (size_t i = 0; i < w.size(); ++i) w[i] *= std::exp(exponents[i % kIn]);
    for (size_t i = 0; i < x.size(); ++i) x[i] *= std::exp(-exponents[i % kIn]);
    const auto error = [&](Layout::Kind kind, int16_t group) {
      const bool down = kind == Layout::Kind::down;
      const Layout layout{.kind = kind, .bits = 4, .group = group, .block = group, .top = ScaleType::f32, .real_zeros = true};
      LogicalGroups g;
      g.resize(layout, {0, kRows, 0, kIn}, kRows / group);
      for (size_t i = 0; i < g.top.size(); ++i) {
        const auto at = [&](int64_t k) { return down ? i + size_t(k * kRows / group * kIn) : i * size_t(group) + size_t(k); };
        float low = w[at(0)], high = low;
        for (int64_t k = 0; k < group; ++k) low = std::min(low, w[at(k)]), high = std::max(high, w[at(k)]);
        g.top[i] = (high - low) / 15;
        g.top_min[i] = -low / g.top[i];
        for (int64_t k = 0; k < group; ++k)
          g.codes[at(k)] = uint8_t(std::clamp(std::nearbyint(w[at(k)] / g.top[i] + g.top_min[i]), 0.0f, 15.0f));
      }
      PackedMatrix packed = make_packed(layout, kRows, kIn);
      arrange(g, packed);
      const Isa isa = isa_to_run(detect_cpu());
      const auto exact = run_matmul(isa, packed, x, kInputs, Precision::exact),
                 rounded = run_matmul(isa, packed, x, kInputs, Precision::standard);
      double errors = 0, all = 0;
      for (size_t i = 0; i < exact.size(); ++i) {
        errors += std::pow(double(rounded[i]) - double(exact[i]), 2);
        all += std::pow(double(exact[i]), 2);
      }
      return std::sqrt(errors / all);
    };
    const double rows = error(Layout::Kind::grouped, kWide), columns = error(Layout::Kind::down, kGroup);
    EXPECT_GT(columns, 1e-4) << "nothing was rounded";
    if (spread == 0)
      EXPECT_LT(columns, 1.25 * rows);
    else
      EXPECT_LT(columns, 0.7 * rows);
  }
}

// Promise 3 at its root: a row's bits do not depend on how many rows go with it or how many threads share the work.
TEST_P(EveryIsa, BitIdentityMatmulRowsAndThreads) {
  const int64_t rows = 70, in = 512;
  for (const Layout& layout : all_layouts())
    for (Precision precision : {Precision::standard, Precision::exact}) {
      const int64_t out = whole_rows(layout, 200);
      const PackedMatrix w = random_matrix(layout, out, in, 11);
      const auto x = random_values(rows * in, 12);
      const auto all = run_matmul(GetParam(), w, x, rows, precision, 2);
      for (int64_t r : {0, 1, 7, 8, 33, 69}) {
        const std::vector<float> one(x.begin() + r * in, x.begin() + (r + 1) * in);
        const std::vector<float> expected(all.begin() + r * out, all.begin() + (r + 1) * out);
        EXPECT_TRUE(same_bits(run_matmul(GetParam(), w, one, 1, precision), expected)) << layout.name() << " row " << r;
      }
    }
}

// The positive control of the test above: summing K in two chains is seen as different.
TEST(BitIdentityControl, TwoChainsDiffer) {
  const int64_t in = 512;
  const PackedMatrix w = random_matrix(dense_layout(DType::f32), 64, in, 11);
  const auto x = random_values(in, 12);
  const auto one = run_matmul(Isa::generic, w, x, 1, Precision::exact);
  int different = 0;
  std::vector<float> row(static_cast<size_t>(in));
  for (int64_t o = 0; o < 64; ++o) {
    unpack_row(w, o, row.data());
    float chain[2] = {0, 0};
    for (int64_t k = 0; k < in; ++k) chain[k % 2] = std::fma(row[size_t(k)], x[size_t(k)], chain[k % 2]);
    different += chain[0] + chain[1] != one[size_t(o)];
  }
  EXPECT_GT(different, 8);
}

TEST_P(EveryIsa, RowOpsEqualGeneric) {
  for (int64_t width : {1, 15, 16, 33, 128, 300}) {
    const int64_t rows = 4;
    const auto x = random_values(rows * width, 1, 3), y = random_values(rows * width, 2, 9), weight = random_values(width, 3);
    const auto run = [&](Isa isa) {
      Bench b(isa);
      const Tensor tx = b.tensor({rows, width}, x), ty = b.tensor({rows, width}, y), tw = b.tensor({width}, weight);
      std::vector<float> out;
      for (const Tensor& t : {ops::rms_norm(b.ctx, tx, tw, 1e-5f), ops::add(b.ctx, tx, ty), ops::add_bias(b.ctx, tx, tw),
                              ops::silu_mul(b.ctx, ty, tx)}) {
        const auto v = values_of(t);
        out.insert(out.end(), v.begin(), v.end());
      }
      return out;
    };
    EXPECT_TRUE(same_bits(run(GetParam()), run(Isa::generic))) << "width " << width;
  }
}

TEST_P(EveryIsa, SiluAndNormMatchDoubleReference) {
  std::vector<float> gate = {-200, -104.5f, -89, -20, -3, -1e-3f, 0, 1e-6f, 0.5f, 4, 50, 89, 3e38f};
  const int64_t n = int64_t(gate.size());
  Bench b(GetParam());
  const auto y = values_of(ops::silu_mul(b.ctx, b.tensor({1, n}, gate), b.tensor({1, n}, std::vector<float>(gate.size(), 1.0f))));
  for (size_t i = 0; i < gate.size(); ++i) {
    const double expected = double(gate[i]) / (1 + std::exp(-double(gate[i])));
    EXPECT_NEAR(y[i], expected, 3e-7 * std::fabs(expected) + 1e-36) << gate[i];
  }
  const auto x = random_values(300, 5, 2), w = random_values(300, 6);
  const auto norm = values_of(ops::rms_norm(b.ctx, b.tensor({1, 300}, x), b.tensor({300}, w), 1e-5f));
  double squares = 0;
  for (float v : x) squares += double(v) * v;
  for (size_t i = 0; i < 300; ++i) EXPECT_NEAR(norm[i], x[i] / std::sqrt(squares / 300 + 1e-5) * w[i], 1e-6);
}

TEST_P(EveryIsa, RopeRotatesBothStyles) {
  const int64_t rows = 3, heads = 2, width = 40, rotated = 36, half = rotated / 2;
  const auto x = random_values(rows * heads * width, 1);
  std::vector<float> c(size_t(rows * half)), s(size_t(rows * half));
  for (size_t i = 0; i < c.size(); ++i) c[i] = float(std::cos(0.37 * double(i))), s[i] = float(std::sin(0.37 * double(i)));
  for (RopeStyle style : {RopeStyle::halves, RopeStyle::pairs}) {
    const auto run = [&](Isa isa) {
      Bench b(isa);
      Tensor t = b.tensor({rows, heads, width}, x);
      ops::rope(b.ctx, t, b.tensor({rows, half}, c), b.tensor({rows, half}, s), style);
      return values_of(t);
    };
    const auto got = run(GetParam());
    EXPECT_TRUE(same_bits(got, run(Isa::generic)));
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t i = 0; i < width; ++i) {
          const size_t base = size_t((r * heads + h) * width);
          if (i >= rotated) {
            EXPECT_EQ(got[base + size_t(i)], x[base + size_t(i)]);
            continue;
          }
          const bool halves = style == RopeStyle::halves;
          const int64_t pair = halves ? i % half : i / 2;
          const bool second = halves ? i >= half : i % 2 == 1;
          const double a = x[base + size_t(halves ? pair : 2 * pair)], b2 = x[base + size_t(halves ? pair + half : 2 * pair + 1)];
          const double cs = c[size_t(r * half + pair)], sn = s[size_t(r * half + pair)];
          EXPECT_NEAR(got[base + size_t(i)], second ? b2 * cs + a * sn : a * cs - b2 * sn, 1e-6);
        }
  }
}

TEST(Ops, GatherComposesRowMap) {
  Bench b(Isa::generic);
  const Tensor x = b.tensor({4, 2}, {0, 1, 10, 11, 20, 21, 30, 31});
  const std::vector<int32_t> first = {3, 1}, second = {1, 0, 1};
  const Tensor y = ops::gather_rows(b.ctx, ops::gather_rows(b.ctx, x, first), second);
  EXPECT_EQ(values_of(y), (std::vector<float>{10, 11, 30, 31, 10, 11}));
  EXPECT_EQ(y.rows()[0], 1);
  EXPECT_EQ(y.rows()[1], 3);
}

TEST(Ops, RoundedFormIsMadeOnceAndShared) {
  Bench b(Isa::generic);
  const Layout layout = all_layouts()[3];
  const PackedMatrix w = random_matrix(layout, 16, 256, 1);
  const Tensor x = b.tensor({1, 256}, random_values(256, 2));
  ops::matmul(b.ctx, x, w);
  const Storage* form = x.form(0).get();
  ASSERT_NE(form, nullptr);
  ops::matmul(b.ctx, x, w);
  EXPECT_EQ(x.form(0).get(), form);
}

// Fused steps give the bits of their parts, whatever is cut where: rows beyond a block of scratch, widths that fill no panel.
TEST_P(EveryIsa, FusedStepsEqualTheirParts) {
  for (const Layout& layout : all_layouts())
    for (const auto& [rows, least_out, threads] : {std::tuple<int64_t, int64_t, int>{1, 48, 1}, {3, 300, 2}, {131, 147, 2}}) {
      const int64_t out = whole_rows(layout, least_out);
      const PackedMatrix a = random_matrix(layout, out, 256, 1), b = random_matrix(layout, out, 256, 2),
                         c = random_matrix(dense_layout(DType::bf16), 40, 256, 3);
      Bench bench(GetParam(), threads);
      const Tensor x = bench.tensor({rows, 256}, random_values(rows * 256, 4));
      const Tensor gate = ops::matmul(bench.ctx, x, a), up = ops::matmul(bench.ctx, x, b), other = ops::matmul(bench.ctx, x, c);
      std::array<Tensor, 3> together;
      ops::matmuls(bench.ctx, x, std::array{&a, &c, &b}, together);
      EXPECT_TRUE(same_bits(values_of(together[0]), values_of(gate))) << layout.name() << " rows " << rows;
      EXPECT_TRUE(same_bits(values_of(together[1]), values_of(other))) << layout.name() << " rows " << rows;
      EXPECT_TRUE(same_bits(values_of(together[2]), values_of(up))) << layout.name() << " rows " << rows;
      EXPECT_TRUE(same_bits(values_of(ops::gate_up(bench.ctx, x, a, b)), values_of(ops::silu_mul(bench.ctx, gate, up))))
          << layout.name() << " rows " << rows;
    }
}

// Columns in an order of their own: what they are multiplied with, and read as, is as without one, to the bit of the same matrix
// on inputs in that order.
TEST_P(EveryIsa, ColumnOrder) {
  const int64_t rows = 9, out = 40;
  for (const Layout& layout : all_layouts()) {
    if (layout.kind != Layout::Kind::grouped || layout.two_level()) continue;
    const int64_t in = layout.group == 256 ? 512 : 384;
    const PackedMatrix plain = random_matrix(layout, out, in, 5);
    PackedMatrix ordered = plain;
    ordered.order = random_order(in, 6);
    const int32_t* order = ordered.column_order();
    const auto x = random_values(rows * in, 7);
    std::vector<float> sorted(x.size()), row(static_cast<size_t>(in)), as_plain(row.size());
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < in; ++i) sorted[size_t(r * in + i)] = x[size_t(r * in + order[i])];
    for (Precision precision : {Precision::standard, Precision::exact}) {
      const auto got = run_matmul(GetParam(), ordered, x, rows, precision, 2);
      EXPECT_TRUE(same_bits(got, run_matmul(GetParam(), plain, sorted, rows, precision))) << layout.name();
      EXPECT_FALSE(same_bits(got, run_matmul(GetParam(), plain, x, rows, precision))) << "the order is ignored";
    }
    unpack_row(ordered, 3, row.data());
    unpack_row(plain, 3, as_plain.data());
    for (int64_t i = 0; i < in; ++i) ASSERT_EQ(row[size_t(order[i])], as_plain[size_t(i)]);
  }
}

// The rounded form that others share is neither used nor left by weights with an order.
TEST(Ops, ColumnOrderRoundsItsOwnCopy) {
  Bench b(Isa::generic);
  PackedMatrix w = random_matrix(all_layouts()[4], 16, 256, 1);
  const PackedMatrix plain = w;
  w.order = random_order(256, 2);
  const Tensor x = b.tensor({1, 256}, random_values(256, 2));
  const auto alone = values_of(ops::matmul(b.ctx, b.tensor({1, 256}, random_values(256, 2)), plain));
  ops::matmul(b.ctx, x, w);
  EXPECT_FALSE(x.form(0)) << "others would take it for theirs";
  EXPECT_TRUE(same_bits(values_of(ops::matmul(b.ctx, x, plain)), alone));
}

TEST(Ops, MeasuringArenaAsksForTheSameMemory) {
  PackedMatrix w = random_matrix(all_layouts()[4], 64, 256, 1);
  const auto walk = [&](Ctx& ctx, const Tensor& x) {
    w.order = {};
    ops::matmul(ctx, x, w);
    w.order = random_order(256, 2);
    Tensor y = ops::gate_up(ctx, x, w, w);
    std::array<Tensor, 2> both;
    ops::matmuls(ctx, x, std::array<const PackedMatrix*, 2>{&w, &w}, both);
    return ops::add(ctx, y, both[1]);
  };
  Bench real(Isa::generic);
  walk(real.ctx, real.tensor({9, 256}, random_values(9 * 256, 1)));
  Arena measured = Arena::measuring();
  Ctx ctx{measured, real.pool, real.ctx.cpu};
  walk(ctx, ctx.tensor({9, 256}));
  EXPECT_EQ(measured.peak(), real.arena.peak());
}

}  // namespace
}  // namespace gale
