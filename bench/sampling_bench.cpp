#include <benchmark/benchmark.h>

#include <cmath>
#include <functional>
#include <string>

#include "base/rng.h"
#include "base/threads.h"
#include "sampling/sampler.h"

// One step's sampling: a token for each of 64 texts over 128256 tokens, on 1 and 2 threads, in milliseconds a step. Rows are
// `peaked` (most of the mass on some dozens of tokens, as a model is sure of most tokens) or `flat` (half of the mass on 40000).
namespace gale {
namespace {

constexpr int64_t kRows = 64, kVocab = 128256;

// Normal logits, and over them a slope of 64 tokens from 12 above the largest down to 0 where `peaked`.
std::vector<float> make_rows(bool peaked) {
  std::vector<float> out(size_t(kRows * kVocab));
  SplitMix64 rng{1};
  for (float& x : out) x = std::sqrt(-2 * std::log(rng.uniform() + 0x1p-25f)) * std::cos(6.2831853f * rng.uniform());
  for (int64_t row = 0; peaked && row < kRows; ++row)
    for (int rank = 0; rank < 64; ++rank)
      out[size_t(row * kVocab) + size_t(rng() % uint64_t(kVocab))] = 17 - 3 * std::log(float(rank + 1));
  return out;
}

struct Fixture {
  std::vector<float> peaked = make_rows(true), flat = make_rows(false);
  std::vector<int32_t> prompt, generated;
  Fixture() {
    SplitMix64 rng{2};
    for (int i = 0; i < 2000; ++i) (i < 1500 ? prompt : generated).push_back(int32_t(rng() % 5000));
  }
};

Fixture& fixture() {
  static Fixture f;
  return f;
}

void add(const std::string& name, const std::function<void(SamplingParams&)>& set, bool peaked, int threads,
         int32_t logprobs = -1) {
  SamplingParams params;
  params.temperature = 0.8f;
  params.dry_sequence_breakers = {};
  set(params);
  const std::string full = name + (peaked ? "/peaked/" : "/flat/") + std::to_string(threads);
  benchmark::RegisterBenchmark(
      full.c_str(),
      [=](benchmark::State& state) {
        const Fixture& f = fixture();
        const std::vector<float>& rows = peaked ? f.peaked : f.flat;
        ThreadPool pool(threads);
        std::vector<SamplerChain> chains(size_t(kRows), SamplerChain(params, kVocab));
        std::vector<Candidates> scratch(static_cast<size_t>(threads));
        uint64_t step = 0;
        for (auto _ : state) {
          ++step;
          pool.for_each(kRows, 1, [&](int64_t begin, int64_t end, int thread) {
            for (int64_t i = begin; i < end; ++i) {
              SamplingState s{.prompt = f.prompt, .generated = f.generated, .seed = uint64_t(i), .position = step};
              const std::span<const float> row(rows.data() + i * kVocab, size_t(kVocab));
              const int32_t token = chains[size_t(i)].sample(row, s, scratch[size_t(thread)]);
              if (logprobs >= 0) benchmark::DoNotOptimize(log_probabilities(row, token, logprobs, scratch[size_t(thread)]));
              benchmark::DoNotOptimize(token);
            }
          });
        }
      })
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime()
      ->MinTime(0.1);
}

}  // namespace
}  // namespace gale

int main(int argc, char** argv) {
  using namespace gale;
  const std::pair<const char*, std::function<void(SamplingParams&)>> settings[] = {
      {"greedy", [](auto& p) { p.temperature = 0; }},
      {"temperature", [](auto&) {}},
      {"top_k", [](auto& p) { p.top_k = 40; }},
      {"top_p", [](auto& p) { p.top_p = 0.95f; }},
      {"min_p", [](auto& p) { p.min_p = 0.05f; }},
      {"top_k_top_p_min_p", [](auto& p) { p.top_k = 40, p.top_p = 0.95f, p.min_p = 0.05f; }},
      {"penalties_top_p", [](auto& p) { p.repetition_penalty = 1.1f, p.presence_penalty = 0.5f, p.top_p = 0.95f; }},
      {"dry", [](auto& p) { p.dry_multiplier = 0.8f, p.min_p = 0.05f; }},
      {"dynamic_temperature", [](auto& p) { p.dynamic_temperature_range = 0.5f; }},
      {"typical_p", [](auto& p) { p.typical_p = 0.95f; }},
      {"tail_free", [](auto& p) { p.tail_free = 0.95f; }},
      {"top_a", [](auto& p) { p.top_a = 0.2f; }},
      {"top_n_sigma", [](auto& p) { p.top_n_sigma = 1; }},
      {"epsilon_cutoff", [](auto& p) { p.epsilon_cutoff = 0.0003f; }},
      {"eta_cutoff", [](auto& p) { p.eta_cutoff = 0.0003f; }},
      {"xtc", [](auto& p) { p.xtc_probability = 1; }},
      {"mirostat_1", [](auto& p) { p.mirostat = 1; }},
      {"mirostat_2", [](auto& p) { p.mirostat = 2; }},
  };
  for (const int threads : {1, 2})
    for (const bool peaked : {true, false}) {
      for (const auto& [name, set] : settings) add(name, set, peaked, threads);
      add("logprobs", [](auto& p) { p.temperature = 0; }, peaked, threads, 20);
    }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
