#include <benchmark/benchmark.h>

#include <cmath>
#include <cstring>

#include "kernels/matrix.h"
#include "quant/format.h"

// From a file's bytes to packed panels per format, one thread: file bytes and weights a second. `copy` is what memory allows: the
// same bytes read and written once. All of it is memory that was touched before: the first touch of a page is the system's work,
// and on a virtual machine its host's.
namespace gale {
namespace {

constexpr int64_t kColumnsPerPiece = 2048;  // as in nn/weights.cpp

constexpr int64_t kRows = 4096, kColumns = 8192;  // beyond any cache

void load(benchmark::State& state, const Format* format) {
  RawTensor tensor;
  tensor.name = "w.weight";
  tensor.type = format->stored;
  tensor.shape = {kRows, kColumns};
  const int64_t row = row_bytes(format->stored, kColumns, tensor.name);
  std::vector<std::byte> bytes(static_cast<size_t>(kRows * row));
  for (int64_t i = 0; i < kRows; ++i) format->randomize(uint64_t(i), kColumns, bytes.data() + i * row);
  tensor.bytes = bytes;
  TensorGroup group;
  group.name = "w";
  group.parts = {{"weight", &tensor}};
  PackedMatrix out = make_packed(format->layout(group), kRows, kColumns);
  LogicalGroups groups;
  for (auto _ : state) {
    for (int64_t first = 0; first < kRows; first += kPanelRows)  // as a Loader's threads do
      for (int64_t column = 0; column < kColumns; column += kColumnsPerPiece) {
        format->groups(group, {first, kPanelRows, column, kColumnsPerPiece}, groups);
        arrange(groups, out);
      }
    benchmark::DoNotOptimize(out.data->data());
  }
  const auto per_second = [](double n) { return benchmark::Counter(n, benchmark::Counter::kIsIterationInvariantRate); };
  state.counters["B/s"] = per_second(double(bytes.size()));
  state.counters["weights/s"] = per_second(double(kRows * kColumns));
}

void copy(benchmark::State& state) {
  std::vector<std::byte> from(size_t(64) << 20, std::byte(1)), to(from.size());
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), from.size());
    benchmark::DoNotOptimize(to.data());
  }
  state.counters["B/s"] = benchmark::Counter(double(from.size()), benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace
}  // namespace gale

int main(int argc, char** argv) {
  for (const gale::Format* format : gale::formats())
    if (format->randomize) benchmark::RegisterBenchmark(("load/" + std::string(format->name)).c_str(), gale::load, format);
  benchmark::RegisterBenchmark("copy", gale::copy);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
