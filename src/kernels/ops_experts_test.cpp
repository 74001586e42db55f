#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "kernels/ops.h"
#include "kernels/test_matrix.h"
#include "kernels/test_ops.h"

namespace gale {
namespace {

using testing::all_layouts;
using testing::Bench;
using testing::random_values;
using testing::same_bits;
using testing::values_of;

std::vector<int32_t> numbers_of(const Tensor& t) { return {t.data<int32_t>(), t.data<int32_t>() + t.elements()}; }

// Every expert's rows in whole panels, the last one of each filled up with nothing.
ExpertMatrix random_experts(const Layout& layout, int64_t experts, int64_t out, int64_t in, uint64_t seed) {
  ExpertMatrix all{.stacked = {}, .experts = experts, .out = out, .orders = {}};
  const int64_t padded = all.panels() * kPanelRows;
  all.stacked = make_packed(layout, experts * padded, in, experts);
  for (int64_t e = 0; e < experts; ++e) {
    LogicalGroups groups = testing::random_groups(layout, out, in, seed + uint64_t(e));
    groups.slice.row = e * padded;
    arrange(groups, all.stacked);
  }
  return all;
}

void give_orders(ExpertMatrix& all, uint64_t seed) {
  const int64_t columns = all.stacked.columns;
  all.orders = heap_storage(size_t(all.experts * columns) * sizeof(int32_t));
  for (int64_t e = 0; e < all.experts; ++e)
    std::memcpy(all.orders->data() + e * columns * 4, testing::random_order(columns, seed + uint64_t(e))->data(),
                size_t(columns) * 4);
}

constexpr int64_t kExperts = 5, kUsed = 3, kInner = 256;
int64_t outer(const Layout& layout) { return testing::whole_rows(layout, 72); }  // which ends inside a panel

struct Mixture {
  explicit Mixture(const Layout& layout, uint64_t seed = 1)
      : gate(random_experts(layout, kExperts, kInner, 512, seed)),
        up(random_experts(layout, kExperts, kInner, 512, seed + 100)),
        down(random_experts(layout, kExperts, outer(layout), kInner, seed + 200)) {}

  /// Each expert's columns in an order of its own.
  static Mixture ordered(const Layout& layout) {
    Mixture out(layout);
    give_orders(out.gate, 1000);
    give_orders(out.up, 2000);
    give_orders(out.down, 3000);
    return out;
  }

  std::vector<float> run(Isa isa, const std::vector<float>& x, const std::vector<float>& logits, Precision precision,
                         int threads = 1) const {
    Bench b(isa, threads, precision);
    const int64_t rows = int64_t(x.size()) / 512;
    const Routing routing = ops::route(b.ctx, b.tensor({rows, kExperts}, logits), kUsed, true);
    return values_of(
        ops::experts_down(b.ctx, ops::experts_gate_up(b.ctx, b.tensor({rows, 512}, x), gate, up, routing), down, routing));
  }
  ExpertMatrix gate, up, down;
};

class Experts : public ::testing::TestWithParam<Isa> {};
INSTANTIATE_TEST_SUITE_P(Here, Experts, ::testing::ValuesIn(detect_cpu().isas),
                         [](const auto& info) { return isa_name(info.param); });

struct Routed {
  std::vector<int32_t> chosen;
  std::vector<float> weights;
};

// The experts of each row by rank, out of the grouping.
Routed route(Isa isa, const std::vector<float>& logits, int64_t experts, int64_t used, bool renormalize, int threads = 1) {
  Bench b(isa, threads);
  const Routing r = ops::route(b.ctx, b.tensor({int64_t(logits.size()) / experts, experts}, logits), used, renormalize);
  const auto place = numbers_of(r.place), source = numbers_of(r.source), begin = numbers_of(r.begin);
  EXPECT_EQ(begin.front(), 0);
  EXPECT_EQ(begin.back(), r.pairs());
  Routed out{{}, values_of(r.weights)};
  std::vector<int> seen(size_t(r.pairs()));
  for (size_t i = 0; i < place.size(); ++i) {
    EXPECT_EQ(source[size_t(place[i])], int32_t(i) / used) << "a pair lies where its row says";
    ++seen[size_t(place[i])];
    out.chosen.push_back(int32_t(std::upper_bound(begin.begin(), begin.end(), place[i]) - begin.begin()) - 1);
  }
  EXPECT_TRUE(std::ranges::all_of(seen, [](int n) { return n == 1; }));
  int64_t with_rows = 0;
  for (int64_t e = 0; e < experts; ++e)
    if (begin[size_t(e)] < begin[size_t(e) + 1]) {
      EXPECT_EQ(numbers_of(r.active)[size_t(with_rows++)], e);
    }
  EXPECT_EQ(with_rows, r.n_active);
  return out;
}

TEST_P(Experts, RouteMatchesDoubleReference) {
  for (const auto& [experts, used] : {std::pair<int64_t, int64_t>{1, 1}, {8, 2}, {40, 17}, {128, 8}, {5, 5}})
    for (const bool renormalize : {false, true}) {
      const int64_t rows = 33;
      const auto logits = random_values(rows * experts, 3, 6);
      const Routed got = route(GetParam(), logits, experts, used, renormalize, 2);
      const Routed generic = route(Isa::generic, logits, experts, used, renormalize);
      EXPECT_EQ(got.chosen, generic.chosen);
      EXPECT_TRUE(same_bits(got.weights, generic.weights));
      for (int64_t r = 0; r < rows; ++r) {
        const float* row = logits.data() + r * experts;
        std::vector<int32_t> order(static_cast<size_t>(experts));
        std::iota(order.begin(), order.end(), 0);
        std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
        double total = 0;
        for (int64_t i = 0; i < (renormalize ? used : experts); ++i) total += std::exp(double(row[order[size_t(i)]]));
        for (int64_t i = 0; i < used; ++i) {
          EXPECT_EQ(got.chosen[size_t(r * used + i)], order[size_t(i)]);
          const double expected = std::exp(double(row[order[size_t(i)]])) / total;
          EXPECT_NEAR(got.weights[size_t(r * used + i)], expected, 1e-6 * expected + 1e-7);
        }
      }
    }
}

TEST_P(Experts, EqualLogitsGoToTheLowerNumber) {
  const Routed got = route(GetParam(), {1, 2, 2, 1, 2, 0, 0, 0, 0, 0, -1, -1, -1, -1, 7}, 5, 2, false);
  EXPECT_EQ(got.chosen, (std::vector<int32_t>{1, 2, 0, 1, 4, 0}));
}

// What cannot be computed with must still lead to experts that exist, each once, and touch no other row.
TEST_P(Experts, NanAndInfiniteLogitsStayInTheirRow) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const std::vector<std::vector<float>> bad = {{nan, nan, nan, nan}, {nan, 1, nan, 2},         {3, nan, 1, 2},
                                               {inf, -inf, inf, 1},  {-inf, -inf, -inf, -inf}, {1, 2, 3, nan}};
  const std::vector<float> good = {1, 4, 2, 3};
  for (const auto& row : bad) {
    std::vector<float> logits = row;
    logits.insert(logits.end(), good.begin(), good.end());
    const Routed got = route(GetParam(), logits, 4, 2, true);
    EXPECT_NE(got.chosen[0], got.chosen[1]);
    EXPECT_EQ((std::vector<int32_t>{got.chosen[2], got.chosen[3]}), (std::vector<int32_t>{1, 3}));
    EXPECT_TRUE(same_bits({got.weights[2], got.weights[3]}, route(GetParam(), good, 4, 2, true).weights));
  }
}

TEST_P(Experts, EqualGenericInEveryLayout) {
  for (const Layout& layout : all_layouts())
    for (const Precision precision : {Precision::standard, Precision::exact})
      for (const int64_t rows : {1, 2, 19}) {
        const Mixture mixture(layout);
        const auto x = random_values(rows * 512, 7), logits = random_values(rows * kExperts, 8, 3);
        EXPECT_TRUE(same_bits(mixture.run(GetParam(), x, logits, precision, 2), mixture.run(Isa::generic, x, logits, precision)))
            << layout.name() << " rows " << rows << (precision == Precision::exact ? " exact" : "");
      }
}

// Against the plain ops, expert by expert: a dense gated MLP of each chosen one, weighed and added by rank, to the bit. Layouts
// with groups of their own sizes also with columns in an order of their own.
TEST_P(Experts, AreTheirExpertsMlps) {
  const int64_t rows = 6;
  std::vector<std::pair<Layout, Mixture>> mixtures;
  for (const Layout& layout : all_layouts()) {
    mixtures.emplace_back(layout, Mixture(layout));
    if (layout.zeros) mixtures.emplace_back(layout, Mixture::ordered(layout));
  }
  for (const Precision precision : {Precision::standard, Precision::exact})
    for (const auto& [layout, mixture] : mixtures) {
      const auto x = random_values(rows * 512, 7), logits = random_values(rows * kExperts, 8, 3);
      const auto got = mixture.run(GetParam(), x, logits, precision);
      const Routed routed = route(GetParam(), logits, kExperts, kUsed, true);
      const int64_t width = mixture.down.out;
      Bench b(GetParam(), 1, precision);
      const auto one = [&](const ExpertMatrix& all, int64_t expert, const Tensor& in) {
        PackedMatrix own = all.one(expert);
        if (all.orders)
          own.order = borrowed_storage(all.orders->data() + expert * own.columns * 4, size_t(own.columns) * 4, nullptr);
        return ops::matmul(b.ctx, in, own);
      };
      for (int64_t r = 0; r < rows; ++r) {
        const Tensor in = b.tensor({1, 512}, {x.begin() + r * 512, x.begin() + (r + 1) * 512});
        std::vector<float> sum;
        for (int64_t i = 0; i < kUsed; ++i) {
          const int64_t e = routed.chosen[size_t(r * kUsed + i)];
          const Tensor h = ops::silu_mul(b.ctx, one(mixture.gate, e, in), one(mixture.up, e, in));
          const auto y = values_of(one(mixture.down, e, h));
          const float weight = routed.weights[size_t(r * kUsed + i)];
          for (size_t c = 0; c < y.size(); ++c)
            if (i == 0)
              sum.push_back(y[c] * weight);
            else
              sum[c] = std::fma(y[c], weight, sum[c]);
        }
        EXPECT_TRUE(same_bits({got.begin() + r * width, got.begin() + (r + 1) * width}, sum)) << layout.name() << " row " << r;
      }
    }
}

// A row alone, among 70 and on any number of threads, and where all of the others want the same experts.
TEST_P(Experts, BitIdentityExpertsRowsAndThreads) {
  const int64_t rows = 70;
  for (const Layout& layout : all_layouts())
    for (const Precision precision : {Precision::standard, Precision::exact}) {
      const Mixture mixture(layout);
      const auto x = random_values(rows * 512, 12);
      auto logits = random_values(rows * kExperts, 13, 3);
      for (const bool crowded : {false, true}) {
        if (crowded)
          for (int64_t r = 0; r < rows; ++r)
            if (r % 7 != 0) std::copy_n(logits.begin() + kExperts, kExperts, logits.begin() + r * kExperts);
        const auto all = mixture.run(GetParam(), x, logits, precision, 3);
        for (const int64_t r : {0, 7, 35, 63}) {
          const auto part = [&](const std::vector<float>& v, int64_t width) {
            return std::vector<float>(v.begin() + r * width, v.begin() + (r + 1) * width);
          };
          EXPECT_TRUE(
              same_bits(mixture.run(GetParam(), part(x, 512), part(logits, kExperts), precision), part(all, mixture.down.out)))
              << layout.name() << " row " << r << (crowded ? " in a crowd" : "");
        }
      }
    }
}

// The positive control: the same experts added up in another order are seen as different.
TEST(BitIdentityControl, OrderOfExpertsMatters) {
  const int64_t width = 512;
  const auto y = random_values(3 * width, 5);
  const std::vector<float> weights = {0.5f, 0.3f, 0.2f}, reversed = {0.2f, 0.3f, 0.5f};
  const std::vector<int32_t> place = {0, 1, 2}, backwards = {2, 1, 0};
  std::vector<float> a(static_cast<size_t>(width)), b(static_cast<size_t>(width));
  const CpuKernels& cpu = cpu_kernels(Isa::generic);
  cpu.sum_experts({y.data(), width, place.data(), weights.data(), 3, a.data(), width, width}, 0, 1);
  cpu.sum_experts({y.data(), width, backwards.data(), reversed.data(), 3, b.data(), width, width}, 0, 1);
  int64_t different = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    different += a[i] != b[i];
    EXPECT_NEAR(a[i], b[i], 1e-6);
  }
  EXPECT_GT(different, width / 8);
}

TEST(ExpertOps, RowMapIsComposed) {
  const Mixture mixture(all_layouts()[0]);
  Bench b(Isa::generic);
  const Tensor x = b.tensor({4, 512}, random_values(4 * 512, 1));
  const Tensor picked = ops::gather_rows(b.ctx, x, std::vector<int32_t>{3, 1});
  const Routing routing = ops::route(b.ctx, b.tensor({2, kExperts}, {0, 1, 2, 3, 4, 4, 3, 2, 1, 0}), 1, false);
  const Tensor h = ops::experts_gate_up(b.ctx, picked, mixture.gate, mixture.up, routing);
  EXPECT_EQ(h.rows()[0], 1) << "expert 0 comes first, with the second row";
  EXPECT_EQ(h.rows()[1], 3);
}

// What is asked for depends on the rows only, not on where they go.
TEST(ExpertOps, MeasuringArenaAsksForTheSameMemory) {
  for (const Mixture& mixture : {Mixture(all_layouts()[5]), Mixture::ordered(all_layouts()[4])}) {
    const auto walk = [&](Ctx& ctx, const Tensor& x, const Tensor& logits) {
      const Routing routing = ops::route(ctx, logits, kUsed, true);
      return ops::experts_down(ctx, ops::experts_gate_up(ctx, x, mixture.gate, mixture.up, routing), mixture.down, routing);
    };
    for (const float spread : {0.0f, 3.0f}) {
      Bench real(Isa::generic);
      walk(real.ctx, real.tensor({9, 512}, random_values(9 * 512, 1)),
           real.tensor({9, kExperts}, random_values(9 * kExperts, 1, spread)));
      Arena measured = Arena::measuring();
      Ctx ctx{measured, real.pool, real.ctx.cpu};
      walk(ctx, ctx.tensor({9, 512}), ctx.tensor({9, kExperts}));
      EXPECT_EQ(measured.peak(), real.arena.peak());
    }
  }
}

}  // namespace
}  // namespace gale
