#include <gtest/gtest.h>

#include <atomic>

#include "base/test_allocations.h"
#include "base/threads.h"
#include "engine/open_engine.h"
#include "engine/random_model.h"
#include "engine/test_engine.h"

namespace gale {
namespace {

using testing::allocations;
using testing::kTinyShape;

// Notes how much was allocated when its text had so many tokens.
class Watch final : public LogitProcessor {
 public:
  Watch(size_t begin, size_t end) : begin_(begin), end_(end) {}
  void process(std::span<float>, const LogitContext& context) const override {
    if (context.generated.size() == begin_) before_ = allocations.load();
    if (context.generated.size() == end_) after_ = allocations.load();
  }
  int64_t allocated() const { return after_ - before_; }

 private:
  size_t begin_, end_;
  mutable std::atomic<int64_t> before_ = -1, after_ = -2;
};

// Between the begin of one block of the cache and that of the next, texts that decode allocate nothing: greedy ones and sampled
// ones through many stages, with logits, scheduling and events, on two threads.
void run_steadily(const std::string& prefix_store) {
  ThreadPool pool(1);
  const auto checkpoint = random_checkpoint(kTinyShape, "q8_0", pool);
  EngineOptions options;
  options.model = "under test";
  options.threads = 2;
  options.context = 256;
  options.prefix_store = prefix_store;
  const auto engine = open_engine(options, checkpoint);
  const auto watch = std::make_shared<Watch>(20, 50);
  std::vector<std::unique_ptr<EventStream>> streams;
  for (int32_t i = 0; i < 8; ++i) {
    Request request;
    request.tokens = {1, 2, 3, 10 + i};
    request.max_tokens = 56;
    request.ignore_eos = true;
    request.sampling.seed = uint64_t(i);
    request.sampling.temperature = i % 2 == 0 ? 0 : 0.8f;
    request.sampling.top_k = 30;
    request.sampling.top_p = 0.9f;
    request.sampling.repetition_penalty = 1.1f;
    if (i == 7) request.sampling.processors = {watch};
    streams.push_back(engine->submit(request));
  }
  for (auto& stream : streams)
    while (stream->next()) {
    }
  EXPECT_EQ(watch->allocated(), 0);
}

TEST(SteadyStep, AllocatesNothing) { run_steadily(""); }

TEST(SteadyStep, AllocatesNothingBesideAStore) {
  const testing::TemporaryFolder folder;
  run_steadily((folder / "store").string());
}

}  // namespace
}  // namespace gale
