#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

#include "base/clock.h"
#include "base/rng.h"
#include "engine/calibration_text.h"
#include "gale/engine.h"

// What requests see of one another, as ratios within one run: a shared prefix against a cold one, the gaps between tokens while
// prompts keep coming, many sequences against one, answers that quote with drafts against without, an engine that finds its
// prompt on disk against one that does not.
//
//   build/release/bench/engine_bench MODEL [many | load | prefix | draft | store [TOKENS]]
namespace gale {
namespace {

std::vector<int32_t> prompt_of(uint64_t seed, int64_t length, int64_t vocab) {
  SplitMix64 rng{seed};
  std::vector<int32_t> out;
  for (int64_t i = 0; i < length; ++i) out.push_back(int32_t(rng() % uint64_t(vocab)));
  return out;
}

EngineOptions many_of(std::string model) {
  EngineOptions options;
  options.model = std::move(model);
  options.context = 10000;
  options.max_sequences = 64;
  options.kv_bytes = int64_t(4) << 30;
  return options;
}

EngineOptions drafting(std::string model) {
  EngineOptions options;
  options.model = std::move(model);
  options.context = 4096;
  options.max_sequences = 4;
  options.draft = "ngram";
  return options;
}

// Words, spaces and marks, each a token, numbered as they come: the weights are random, only what repeats matters.
class Words {
 public:
  std::vector<int32_t> ids(std::string_view text) {
    std::vector<int32_t> out;
    for (size_t at = 0, end = 0; at < text.size(); at = end) {
      end = at + 1;
      const bool word = std::isalnum(static_cast<unsigned char>(text[at])) != 0;
      while (word && end < text.size() && std::isalnum(static_cast<unsigned char>(text[end]))) ++end;
      if (!word && text[at] == ' ' && end < text.size()) continue;  // as most vocabularies have it
      out.push_back(ids_.try_emplace(std::string(text.substr(at, end - at)), int32_t(ids_.size())).first->second);
    }
    return out;
  }
  int32_t fresh() { return int32_t(ids_.size()) + fresh_++; }

 private:
  std::map<std::string, int32_t> ids_;
  int32_t fresh_ = 0;
};

// The model goes along a text, whatever its weights say.
class Along final : public LogitProcessor {
 public:
  explicit Along(std::vector<int32_t> text) : text_(std::move(text)) {}
  void process(std::span<float> logits, const LogitContext& context) const override {
    const auto next = size_t(text_[context.generated.size()]);
    std::ranges::fill(logits, -INFINITY);
    logits[next] = 0;
  }

 private:
  std::vector<int32_t> text_;
};

class Bench {
 public:
  explicit Bench(const EngineOptions& options) : engine_(Engine::open(options)) {}

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
      const auto [rate, others] = decode_rate(n);
      if (n == 1) one = rate;
      fmt::print("{} sequences: {:.1f} tokens/s, {:.2f} times one; beside model and sampling {:.3f} ms a step\n", n, rate,
                 rate / one, others * 1e3);
      std::fflush(stdout);
    }
  }

  // The prompt is a text, the answer the same text with its words changed here and there, or one that has nothing to do with it.
  void drafts() {
    constexpr size_t kPrompt = 800, kAnswer = 120;
    Words words;
    const auto text = words.ids(calibration_text());
    const std::vector<int32_t> prompt(text.begin(), text.begin() + kPrompt);
    answer_of(prompt, std::vector<int32_t>(text.end() - kAnswer, text.end()), 0);  // the prompt is known, clocks settle
    for (const size_t every : {size_t(0), size_t(12), size_t(8)}) {
      std::vector<int32_t> answer(text.begin() + 200, text.begin() + 200 + kAnswer);
      for (size_t i = every; every > 0 && i < answer.size(); i += every) answer[i] = words.fresh();
      print_drafts(every == 0 ? "a quote" : fmt::format("a quote, every {}th word another", every), prompt, answer);
    }
    print_drafts("something else", prompt, std::vector<int32_t>(text.end() - kAnswer, text.end()));
  }

  double one_prompt(int64_t tokens) { return first_token(prompt_of(3, tokens, vocab())); }
  int64_t store_bytes() const { return engine_->stats().store_bytes; }

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

  EndEvent answer_of(const std::vector<int32_t>& prompt, const std::vector<int32_t>& answer, int32_t most) {
    Request ask = request(prompt, int64_t(answer.size()));
    ask.sampling.processors = {std::make_shared<Along>(answer)};
    ask.draft_max = most;
    const auto stream = engine_->submit(ask);
    EndEvent out{};
    while (const auto event = stream->next())
      if (const auto* end = std::get_if<EndEvent>(&*event)) out = *end;
    return out;
  }

  // The median of runs with and without in turn: a machine that others use has its moods.
  void print_drafts(const std::string& what, const std::vector<int32_t>& prompt, const std::vector<int32_t>& answer) {
    constexpr size_t kRuns = 3;
    std::vector<double> times;
    EndEvent total{};
    const auto tokens = double(answer.size() * kRuns);
    int64_t steps = 0;
    for (size_t run = 0; run < kRuns; ++run) {
      const int64_t before = engine_->stats().steps;
      const EndEvent with = answer_of(prompt, answer, -1);
      steps += engine_->stats().steps - before;
      total.drafted_tokens += with.drafted_tokens;
      total.accepted_tokens += with.accepted_tokens;
      times.push_back(answer_of(prompt, answer, 0).decode_seconds / with.decode_seconds);
    }
    std::ranges::sort(times);
    fmt::print("{}: {:.2f} of {} drafted tokens accepted, {:.2f} tokens a step, {:.2f} ({:.2f} to {:.2f}) times without drafts\n",
               what, double(total.accepted_tokens) / double(std::max<int64_t>(total.drafted_tokens, 1)), total.drafted_tokens,
               tokens / double(steps), times[kRuns / 2], times.front(), times.back());
  }

  // Tokens a second once all of them decode, and seconds of a step that neither model nor sampling takes.
  std::pair<double, double> decode_rate(size_t sequences) {
    constexpr int kSteps = 24;
    std::vector<std::unique_ptr<EventStream>> streams;
    for (size_t i = 0; i < sequences; ++i) streams.push_back(engine_->submit(request(prompt_of(50 + i, 128, vocab()), -1)));
    for (auto& stream : streams) stream->next();
    streams.back()->next();
    const EngineStats before = engine_->stats();
    const double begin = now_seconds();
    for (int i = 0; i < kSteps; ++i) streams.back()->next();
    const double rate = double(sequences * kSteps) / (now_seconds() - begin);
    const EngineStats after = engine_->stats();
    const double others = (after.step_seconds - before.step_seconds) - (after.model_seconds - before.model_seconds);
    return {rate, others / double(after.steps - before.steps)};
  }

  std::unique_ptr<Engine> engine_;
};

// The same prompt in two engines, one after another: the second finds what the first has left. And what a store adds to opening.
void restart(const std::string& model, int64_t tokens) {
  std::string folder = (std::filesystem::temp_directory_path() / "gale-bench-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return;
  EngineOptions options = drafting(model), without = options;
  options.draft = "";
  options.context = without.context = tokens + 64;
  options.prefix_store = folder;
  const double cold = Bench(options).one_prompt(tokens);
  {
    Bench second(options);
    const double warm = second.one_prompt(tokens);
    const auto bytes = double(second.store_bytes());
    fmt::print("first token after {} tokens: {:.2f} s cold, {:.0f} ms with {:.0f} MB in the store: {:.0f} times\n", tokens, cold,
               warm * 1e3, bytes / 1e6, cold / warm);
  }
  std::vector<double> times[2];
  for (int i = 0; i < 10; ++i) {
    const double begin = now_seconds();
    const Bench bench(i % 2 == 0 ? options : without);
    times[i % 2].push_back(now_seconds() - begin);
  }
  for (auto& list : times) std::ranges::sort(list);
  fmt::print("opening the model: {:.2f} s with a store, {:.2f} s without\n", times[0][2], times[1][2]);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace gale

int main(int argc, char** argv) {
  if (argc < 2) return fmt::print(stderr, "usage: engine_bench MODEL [many | load | prefix | draft | store [TOKENS]]\n"), 2;
  const std::string_view which = argc > 2 ? argv[2] : "";
  if (which.empty() || which == "store") gale::restart(argv[1], argc > 3 ? std::atoi(argv[3]) : 8193);
  if (which.empty() || which == "many") {
    gale::EngineOptions options = gale::many_of(argv[1]);
    options.step_seconds = 10;  // prompts do not give way to those who decode already
    gale::Bench(options).many_sequences();
  }
  if (which.empty() || which == "load" || which == "prefix") {
    gale::Bench bench(gale::many_of(argv[1]));
    if (which.empty() || which == "load") bench.steady_load();
    if (which.empty() || which == "prefix") bench.shared_prefix();
  }
  if (which.empty() || which == "draft") gale::Bench(gale::drafting(argv[1])).drafts();
}
