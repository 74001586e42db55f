#pragma once
#include <chrono>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "engine/open_engine.h"
#include "engine/runtime.h"
#include "engine/sizing.h"
#include "engine/test_engine.h"
#include "speculation/drafter.h"

// Drafters that know too much, or nothing.
namespace gale::testing {

/// Knows how texts go on. `wrong` 0: tells as much of it as was asked for. Else every so manieth token is any other, also one
/// that no vocabulary has, and there are fewer than asked for, or more.
class GuessingDrafter final : public Drafter {
 public:
  GuessingDrafter(std::vector<std::vector<int32_t>> texts, uint64_t wrong, int32_t vocab)
      : texts_(std::move(texts)), wrong_(wrong), vocab_(vocab) {}

  void propose(std::span<const DraftTask> tasks) override {
    for (const DraftTask& task : tasks) {
      const std::vector<int32_t>* text = text_of(task.tokens);
      const auto count = wrong_ == 0 ? uint64_t(task.most) : rng_() % uint64_t(task.most + 3);
      for (size_t at = task.tokens.size(); task.draft->size() < count; ++at) {
        const bool known = text != nullptr && at < text->size();
        if (!known && wrong_ == 0) break;
        const bool odd = wrong_ > 0 && rng_() % wrong_ == 0;
        task.draft->push_back(odd ? any() : known ? (*text)[at] : int32_t(rng_() % uint64_t(vocab_)));
      }
    }
  }
  void forget(uint64_t) override {}

 private:
  const std::vector<int32_t>* text_of(std::span<const int32_t> begin) const {
    for (const auto& text : texts_)
      if (text.size() > begin.size() && std::equal(begin.begin(), begin.end(), text.begin())) return &text;
    return nullptr;
  }
  int32_t any() {
    const int32_t odd[] = {-1, INT32_MIN, INT32_MAX, vocab_, 1 << 20, int32_t(rng_() % uint64_t(vocab_))};
    return odd[rng_() % std::size(odd)];
  }

  std::vector<std::vector<int32_t>> texts_;
  uint64_t wrong_;
  int32_t vocab_;
  SplitMix64 rng_{11};
};

/// A drafter by what it does.
class CallingDrafter final : public Drafter {
 public:
  explicit CallingDrafter(std::function<void(std::span<const DraftTask>)> call) : call_(std::move(call)) {}
  void propose(std::span<const DraftTask> tasks) override { call_(tasks); }
  void forget(uint64_t) override {}

 private:
  std::function<void(std::span<const DraftTask>)> call_;
};

inline std::unique_ptr<Engine> open_with(const EngineOptions& options, std::shared_ptr<const Checkpoint> checkpoint,
                                         std::unique_ptr<Drafter> drafter) {
  Runtime runtime = load_runtime(options, std::move(checkpoint));
  if (drafter) runtime.drafter = std::move(drafter);
  if (runtime.drafter && !runtime.drafter->taps().empty())
    runtime.arena = std::make_unique<Arena>(plan_scratch(*runtime.model, *runtime.cpu, *runtime.pool, runtime.precision,
                                                         runtime.kv->format(), runtime.step_tokens, runtime.drafter->taps()));
  return start_engine(options, std::move(runtime));
}

inline Request drawn(std::vector<int32_t> prompt, int64_t max_tokens, uint64_t seed = 5, float temperature = 0.9f) {
  Request request = greedy(std::move(prompt), max_tokens);
  request.sampling.temperature = temperature;
  request.sampling.seed = seed;
  request.sampling.logprobs = 3;
  return request;
}

inline Text ask(Engine& engine, const Request& request) { return read_all(*engine.submit(request)); }

/// When nobody runs any more. The end of a text is told before the step that ended it is counted.
inline EngineStats settled(const Engine& engine) {
  EngineStats stats = engine.stats();
  for (; stats.running > 0; stats = engine.stats()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return stats;
}

/// On one thread, its weights made once for all.
inline std::unique_ptr<Engine> open_tiny_model(const std::function<void(EngineOptions&)>& change,
                                               std::unique_ptr<Drafter> drafter) {
  static ThreadPool pool(1);
  static const auto checkpoint = random_checkpoint(kTinyShape, "q8_0", pool);
  EngineOptions options;
  options.model = "under test";
  options.threads = 1;
  options.context = 2048;
  if (change) change(options);
  return open_with(options, checkpoint, std::move(drafter));
}

}  // namespace gale::testing
