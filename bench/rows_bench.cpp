#include <benchmark/benchmark.h>

#include "kernels/ops.h"
#include "kernels/test_matrix.h"

// What a step does besides matmul and attention, on the fastest instruction set here (or GALE_ISA), one thread, in cache:
// elements a second.
namespace gale {
namespace {

constexpr int64_t kRows = 4, kWidth = 8192;

struct Fixture {
  std::vector<float> a = testing::random_values(kRows * kWidth, 1), b = testing::random_values(kRows * kWidth, 2),
                     y = std::vector<float>(size_t(kRows * kWidth));
  std::vector<std::byte> rounded;
  const CpuKernels& cpu = cpu_kernels(isa_to_run(detect_cpu()));

  void round(Rounding rounding) {
    rounded.resize(size_t(rounded_bytes(rounding, kRows, kWidth)));
    const RoundedRows out = rounded_view(rounded.data(), rounding, kRows, kWidth);
    cpu.round_pieces(a.data(), out, 0, kRows * out.pieces());
  }
};

template <class Op>
void add(const char* name, Op op) {
  benchmark::RegisterBenchmark(name, [op](benchmark::State& state) {
    Fixture f;
    for (auto _ : state) {
      op(f);
      benchmark::ClobberMemory();
    }
    state.counters["elements/s"] = benchmark::Counter(double(kRows * kWidth), benchmark::Counter::kIsIterationInvariantRate);
  });
}

}  // namespace
}  // namespace gale

int main(int argc, char** argv) {
  using namespace gale;
  add("round/int8_per_32", [](Fixture& f) { f.round(Rounding::int8_per_32); });
  add("round/int8_per_256", [](Fixture& f) { f.round(Rounding::int8_per_256); });
  add("round/bf16", [](Fixture& f) { f.round(Rounding::bf16); });
  add("rms_norm", [](Fixture& f) { f.cpu.rms_norm(f.a.data(), f.b.data(), 1e-5f, f.y.data(), kWidth, 0, kRows); });
  add("add", [](Fixture& f) { f.cpu.add(f.a.data(), f.b.data(), f.y.data(), 0, kRows * kWidth); });
  add("silu_mul", [](Fixture& f) { f.cpu.silu_mul(f.a.data(), f.b.data(), f.y.data(), 0, kRows * kWidth); });
  for (const RopeStyle style : {RopeStyle::halves, RopeStyle::pairs})
    add(style == RopeStyle::halves ? "rope/halves" : "rope/pairs",
        [style](Fixture& f) { f.cpu.rope(f.y.data(), f.a.data(), f.b.data(), style, kWidth / 128, 128, 128, 0, kRows); });
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
