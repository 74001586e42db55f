#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <map>

#include "kernels/ops.h"
#include "kernels/roofline.h"
#include "kernels/test_matrix.h"

// Matmul per instruction set, layout and row count, one thread: multiply-adds and packed bytes a second, and the share of what
// the set's dots or multiply-adds reach with everything in registers. Names are matmul/<isa>/<layout>/<rows>; --benchmark_filter
// picks.
namespace gale {
namespace {

double peak_of(Isa isa, Rounding rounding) {
  static std::map<Isa, Roofline> rooflines;
  if (!rooflines.contains(isa)) {
    ThreadPool pool(1);
    rooflines[isa] = measure_roofline(cpu_kernels(isa), pool);
  }
  const Roofline& r = rooflines[isa];
  return 1e12 * (rounding == Rounding::none ? r.f32_tmac_s : rounding == Rounding::bf16 ? r.bf16_tmac_s : r.int8_tmac_s);
}

void matmul(benchmark::State& state, Isa isa, Layout layout) {
  constexpr int64_t kOut = 2048, kIn = 2048;
  const int64_t rows = state.range(0);
  Arena arena(size_t(256) << 20);
  ThreadPool pool(1);
  Ctx ctx{arena, pool, cpu_kernels(isa)};
  const PackedMatrix w = testing::random_matrix(layout, kOut, kIn, 1);
  const auto values = testing::random_values(rows * kIn, 2);
  for (auto _ : state) {
    Tensor x = ctx.tensor({rows, kIn});
    std::copy(values.begin(), values.end(), x.data<float>());
    benchmark::DoNotOptimize(ops::matmul(ctx, x, w).data<float>());
  }
  const auto per_second = [](int64_t n) { return benchmark::Counter(double(n), benchmark::Counter::kIsIterationInvariantRate); };
  state.counters["MAC/s"] = per_second(rows * kOut * kIn);
  state.counters["B/s"] = per_second(w.bytes());
  state.counters["share"] = benchmark::Counter(double(rows * kOut * kIn) / peak_of(isa, layout_rounding(layout)),
                                               benchmark::Counter::kIsIterationInvariantRate);
}

// Those of the tests, and HQQ's of both axes in its usual groups.
std::vector<Layout> layouts() {
  std::vector<Layout> out = testing::all_layouts();
  for (const auto kind : {Layout::Kind::grouped, Layout::Kind::down})
    for (const uint8_t bits : {2, 3, 4, 8})
      out.push_back({.kind = kind, .bits = bits, .group = 64, .block = 64, .top = ScaleType::f16, .real_zeros = true});
  return out;
}

}  // namespace
}  // namespace gale

int main(int argc, char** argv) {
  for (const gale::Isa isa : gale::detect_cpu().isas)
    for (const gale::Layout& layout : gale::layouts())
      for (const int64_t rows : {1, 2, 4, 8, 16, 32, 128, 512})
        benchmark::RegisterBenchmark(fmt::format("matmul/{}/{}", gale::isa_name(isa), layout.name()).c_str(), gale::matmul, isa,
                                     layout)
            ->Arg(rows);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
