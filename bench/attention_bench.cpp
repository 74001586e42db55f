#include <benchmark/benchmark.h>

#include "base/rng.h"
#include "kvcache/kvcache.h"

// Attention of one layer with 32 heads on 8 kv heads, one thread: `rows` rows of one sequence after `depth` cached slots. MAC/s
// counts what the rows see (queries x slots x two widths), B/s the cache once. Names are
// attention/<isa>/<type>/<width>/<rows>/<depth>;
// --benchmark_filter picks.
namespace gale {
namespace {

constexpr int32_t kHeads = 32, kKvHeads = 8;
constexpr std::pair<const char*, KvType> kTypes[] = {{"f32", KvType::f32}, {"f16", KvType::f16},   {"bf16", KvType::bf16},
                                                     {"fp8", KvType::fp8}, {"q8_0", KvType::q8_0}, {"q4_0", KvType::q4_0}};

Tensor random_rows(Ctx& ctx, int64_t rows, int64_t heads, int64_t width, SplitMix64& random) {
  Tensor t = ctx.tensor({rows, heads, width});
  for (int64_t i = 0; i < t.elements(); ++i) t.data<float>()[i] = random.uniform() * 4 - 2;
  return t;
}

Batch batch_of(TrackId track, int64_t rows, int64_t first) {
  Batch batch;
  const std::vector<int32_t> ids(static_cast<size_t>(rows), 0);
  batch.add_causal(track, ids.data(), int32_t(rows), int32_t(first));
  return batch;
}

void attention(benchmark::State& state, Isa isa, KvType type, int32_t width) {
  const int64_t rows = state.range(0), depth = state.range(1), blocks = (rows + depth) / kGroupSlots + 1;
  Arena arena(size_t(256) << 20);
  ThreadPool pool(1);
  Ctx ctx{arena, pool, cpu_kernels(isa)};
  const std::vector<CacheLayer> layers = {SelfLayer{kKvHeads, width, width}};
  KvCache kv(layers, type, blocks);
  const TrackId track = kv.open();
  kv.reserve(track, rows + depth);
  SplitMix64 random{1};
  const AttentionOptions options{.scale = 1.0f / 16};
  for (int64_t first = 0; first < depth; first += 128) {  // rows that see nothing only fill the cache
    Batch batch = batch_of(track, 128, first);
    std::fill(batch.attend_end.begin(), batch.attend_end.end(), 0);
    const Tensor q = random_rows(ctx, 128, kHeads, width, random), k = random_rows(ctx, 128, kKvHeads, width, random);
    kv.attend(ctx, 0, batch, q, k, k, options);
  }
  const Batch batch = batch_of(track, rows, depth);
  const Tensor q = random_rows(ctx, rows, kHeads, width, random), k = random_rows(ctx, rows, kKvHeads, width, random);
  for (auto _ : state) benchmark::DoNotOptimize(kv.attend(ctx, 0, batch, q, k, k, options).data<float>());
  const int64_t seen = rows * depth + rows * (rows + 1) / 2;
  const auto per_second = [&](double n) { return benchmark::Counter(n, benchmark::Counter::kIsIterationInvariantRate); };
  state.counters["MAC/s"] = per_second(double(seen) * kHeads * 2 * width);
  state.counters["B/s"] =
      per_second(double(rows + depth) * double(KvCache::needs(layers, type, 1, 1)[0].block_bytes) / kGroupSlots);
}

}  // namespace
}  // namespace gale

int main(int argc, char** argv) {
  for (const gale::Isa isa : gale::detect_cpu().isas)
    for (const auto& [type, kv_type] : gale::kTypes)
      for (const int32_t width : {64, 128})
        for (const int64_t rows : {1, 8, 512})
          for (const int64_t depth : {128, 512, 4096, 32768})
            benchmark::RegisterBenchmark(
                (std::string("attention/") + gale::isa_name(isa) + "/" + type + "/" + std::to_string(width)).c_str(),
                gale::attention, isa, kv_type, width)
                ->Args({rows, depth})
                ->Unit(benchmark::kMicrosecond);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
