#include <benchmark/benchmark.h>

#include "kernels/ops.h"
#include "kernels/test_matrix.h"

// Matmul per layout and row count on the fastest instruction set here (or GALE_ISA), one thread: multiply-adds and packed bytes a
// second.
namespace gale {
namespace {

void matmul(benchmark::State& state, Layout layout) {
  constexpr int64_t kOut = 2048, kIn = 2048;
  const int64_t rows = state.range(0);
  Arena arena(size_t(256) << 20);
  ThreadPool pool(1);
  Ctx ctx{arena, pool, cpu_kernels(isa_to_run(detect_cpu()))};
  const PackedMatrix w = testing::random_matrix(layout, kOut, kIn, 1);
  const auto values = testing::random_values(rows * kIn, 2);
  for (auto _ : state) {
    Tensor x = ctx.tensor({rows, kIn});
    std::copy(values.begin(), values.end(), x.data<float>());
    benchmark::DoNotOptimize(ops::matmul(ctx, x, w).data<float>());
  }
  const auto per_second = [&](int64_t n) { return benchmark::Counter(double(n), benchmark::Counter::kIsIterationInvariantRate); };
  state.counters["MAC/s"] = per_second(rows * kOut * kIn);
  state.counters["B/s"] = per_second(w.bytes());
}

}  // namespace
}  // namespace gale

int main(int argc, char** argv) {
  for (const gale::Layout& layout : gale::testing::all_layouts())
    benchmark::RegisterBenchmark(("matmul/" + layout.name()).c_str(), gale::matmul, layout)
        ->Arg(1)
        ->Arg(2)
        ->Arg(4)
        ->Arg(8)
        ->Arg(16)
        ->Arg(32)
        ->Arg(128)
        ->Arg(512);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
