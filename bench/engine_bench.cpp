#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "base/rng.h"
#include "gale/engine.h"

// What requests see of one another, as ratios within one run: a shared prefix against a cold one, the gaps between tokens while
// prompts keep coming, many sequences against one.
//
//   build/release/bench/engine_bench MODEL [many | load | prefix]
namespace gale {
namespace {

std::vector<int32_t> prompt_of(uint64_t seed, int64_t length, int64_t vocab) {
  SplitMix64 rng{seed};
  std::vector<int32_t> out;
  for (int64_t i = 0; i < length; ++i) out.push_back(int32_t(rng() % uint64_t(vocab)));
  return out;
}

class Bench {
 public:
  explicit Bench(std::string model) {
    EngineOptions options;
    options.model = std::move(model);
    options.context = 10000;
    options.max_sequences = 64;
    options.kv_bytes = int64_t(4) << 30;
    engine_ = Engine::open(options);
  }

  void shared_prefix() {
    const auto prefix = prompt_of(1, 8192, vocab());
    const auto ask = [&](int32_t last) {
      auto prompt = prefix;
      prompt.push_back(last);
      return first_token(prompt);
    };
    const double cold = ask(1);
    std::vector<double> warm;
    for (int32_t i = 2; i < 7; ++i) warm.push_back(ask(i));
    std::ranges::sort(warm);
    fmt::print("first token after 8193 tokens: {:.2f} s cold, {:.1f} ms with the first 8192 shared: {:.0f} times\n", cold,
               warm[2] * 1e3, cold / warm[2]);
  }

  // One text decodes while prompts of 1000 tokens come one after another.
  void steady_load() {
    std::vector<double> gaps;
    const auto stream = engine_->submit(request(prompt_of(2, 100, vocab()), -1));
    stream->next();
    std::unique_ptr<EventStream> prefill;
    double last = now_seconds();
    for (uint64_t n = 0; gaps.size() < 300;) {
      if (!prefill) prefill = engine_->submit(request(prompt_of(1000 + n++, 1000, vocab()), 1));
      if (!stream->next()) break;
      const double now = now_seconds();
      gaps.push_back(now - last);
      last = now;
      while (prefill) {
        const auto event = prefill->next(std::chrono::milliseconds(0));
        if (!event) break;
        if (std::holds_alternative<EndEvent>(*event)) prefill.reset();
      }
    }
    std::ranges::sort(gaps);
    const double median = gaps[gaps.size() / 2], p99 = gaps[gaps.size() * 99 / 100];
    fmt::print("gaps between tokens under prompts: median {:.1f} ms, p99 {:.1f} ms: {:.2f} times\n", median * 1e3, p99 * 1e3,
               p99 / median);
  }

  void many_sequences() {
    double one = 0;
    for (const size_t n : {size_t(1), size_t(8), size_t(16), size_t(64)}) {
      const double rate = decode_rate(n);
      if (n == 1) one = rate;
      fmt::print("{} sequences: {:.1f} tokens/s, {:.2f} times one\n", n, rate, rate / one);
    }
  }

 private:
  int64_t vocab() const { return engine_->info().vocab; }

  static Request request(std::vector<int32_t> prompt, int64_t tokens) {
    Request out;
    out.tokens = std::move(prompt);
    out.max_tokens = tokens;
    out.ignore_eos = true;
    return out;
  }

  double first_token(const std::vector<int32_t>& prompt) {
    const double begin = now_seconds();
    const auto stream = engine_->submit(request(prompt, 1));
    stream->next();
    return now_seconds() - begin;
  }

  // Tokens a second once all of them decode.
  double decode_rate(size_t sequences) {
    constexpr int kSteps = 24;
    std::vector<std::unique_ptr<EventStream>> streams;
    for (size_t i = 0; i < sequences; ++i) streams.push_back(engine_->submit(request(prompt_of(50 + i, 128, vocab()), -1)));
    for (auto& stream : streams) stream->next();
    streams.back()->next();
    const double begin = now_seconds();
    for (int i = 0; i < kSteps; ++i) streams.back()->next();
    return double(sequences * kSteps) / (now_seconds() - begin);
  }

  std::unique_ptr<Engine> engine_;
};

}  // namespace
}  // namespace gale

int main(int argc, char** argv) {
  if (argc < 2) return fmt::print(stderr, "usage: engine_bench MODEL [many | load | prefix]\n"), 2;
  const std::string_view which = argc > 2 ? argv[2] : "";
  gale::Bench bench(argv[1]);
  if (which.empty() || which == "many") bench.many_sequences();
  if (which.empty() || which == "load") bench.steady_load();
  if (which.empty() || which == "prefix") bench.shared_prefix();
}
