#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <thread>

#include "base/cpu.h"
#include "base/fail.h"
#include "base/float_mode.h"
#include "base/threads.h"
#include "engine/open_engine.h"
#include "engine/stepper.h"
#include "engine/test_engine.h"
#include "tensor/storage.h"

// A request's tokens and logprobs, bit for bit the same whatever else the engine does and however it cuts the work.
namespace gale {
namespace {

using namespace gale::testing;

constexpr int64_t kBlockBytes = 64 * 2 * 2 * 2 * 64 * 2;  // of kTinyShape: slots, layers, k and v, kv heads, width, f16

struct Setting {
  std::string type, isa;
  bool exact = false;
  const RandomShape* shape = &kTinyShape;
};

// Exact mode has kernels of its own for grouped layouts; dense ones take the same path. The generic set is slow and has one case
// of it.
std::vector<Setting> settings() {
  std::vector<Setting> out;
  for (const Isa isa : detect_cpu().isas) {
    for (const char* type : {"f32", "f16", "bf16", "q8_0", "q4_0", "q4_k", "q5_k", "q6_k", "mxfp4", "q4_k_m"})
      out.push_back({type, isa_name(isa)});
    out.push_back({"q4_k_m", isa_name(isa), false, &kTinyMoeShape});
    for (const char* type : {"q4_k", "q8_0", "q4_0", "q5_k", "q6_k", "mxfp4"}) {
      out.push_back({type, isa_name(isa), true});
      if (isa == Isa::generic) break;
    }
  }
  return out;
}

std::string setting_name(const ::testing::TestParamInfo<Setting>& info) {
  return info.param.isa + "_" + info.param.type + (info.param.exact ? "_exact" : "") +
         (info.param.shape->experts > 0 ? "_experts" : "");
}

EngineOptions options_of(const Setting& setting) {
  EngineOptions options;
  options.model = "random:tiny";
  options.isa = setting.isa;
  options.exact = setting.exact;
  options.kv_type = "f16";
  options.threads = 1;
  options.kv_bytes = 64 * kBlockBytes;
  return options;
}

// The request under test: it crosses a block of the cache, and draws, so that one wrong bit in a logit can change all that
// follows.
Request subject() {
  Request request = greedy(random_prompt(77, 58, kTinyShape.vocab), 14);
  request.sampling.temperature = 0.9f;
  request.sampling.top_p = 0.95f;
  request.sampling.repetition_penalty = 1.1f;
  request.sampling.seed = 4242;
  request.sampling.logprobs = 4;
  return request;
}

Text alone(Engine& engine) { return read_all(*engine.submit(subject())); }

// Between seven others of random lengths, some there before it and some after.
Text in_a_crowd(Engine& engine, uint64_t seed) {
  SplitMix64 rng{seed};
  std::vector<std::unique_ptr<EventStream>> streams;
  std::unique_ptr<EventStream> ours;
  for (uint64_t i = 0; i < 8; ++i) {
    if (i == seed % 8) {
      ours = engine.submit(subject());
      continue;
    }
    Request other = greedy(random_prompt(rng(), 1 + int64_t(rng() % 30), kTinyShape.vocab), 1 + int64_t(rng() % 16));
    other.sampling.temperature = 1;
    other.sampling.seed = rng();
    streams.push_back(engine.submit(other));
  }
  const Text out = read_all(*ours);
  for (auto& stream : streams) read_all(*stream);
  return out;
}

// An older request grows into the blocks that ours needs: ours gives them back and is run again from the start.
Text preempted(Engine& engine) {
  const auto older = engine.submit(greedy(random_prompt(5, 118, kTinyShape.vocab), 20));
  const auto ours = engine.submit(subject());
  const Text out = read_all(*ours);
  EXPECT_EQ(read_all(*older).tokens.size(), 20u);
  return out;
}

class BitIdentity : public ::testing::TestWithParam<Setting> {
 protected:
  std::unique_ptr<Engine> open(const std::function<void(EngineOptions&)>& change = {}) {
    EngineOptions options = options_of(GetParam());
    if (change) change(options);
    if (!checkpoint_) {
      ThreadPool pool(1);
      checkpoint_ = random_checkpoint(*GetParam().shape, GetParam().type, pool);
    }
    return open_engine(options, checkpoint_);
  }
  std::shared_ptr<const Checkpoint> checkpoint_;
};
INSTANTIATE_TEST_SUITE_P(LayoutsAndIsas, BitIdentity, ::testing::ValuesIn(settings()), setting_name);

TEST_P(BitIdentity, AloneBatchedChunkedThreadedPreempted) {
  const auto engine = open();
  ASSERT_EQ(engine->info().isa, GetParam().isa);
  const Text expected = alone(*engine);
  ASSERT_EQ(expected.tokens.size(), 14u);
  EXPECT_EQ(alone(*engine), expected) << "a second time";
  EXPECT_EQ(in_a_crowd(*engine, 1), expected) << "in a batch of 8";
  EXPECT_EQ(in_a_crowd(*open([](auto& o) { o.step_tokens = 7; }), 6), expected) << "in chunks of 7, in a batch";
  EXPECT_EQ(alone(*open([](auto& o) { o.step_tokens = 1; })), expected) << "row by row";
  EXPECT_EQ(in_a_crowd(*open([](auto& o) { o.threads = 2; }), 3), expected) << "on 2 threads";
  EXPECT_EQ(preempted(*open([](auto& o) { o.kv_bytes = 4 * kBlockBytes; })), expected) << "after preemption";
}

// The pool of the test above is as small as it must be: there ours is preempted indeed.
TEST(BitIdentityControl, TheSmallPoolPreempts) {
  ThreadPool pool(1);
  EngineOptions options = options_of({"q8_0", isa_name(detect_cpu().isas.back())});
  options.kv_bytes = 4 * kBlockBytes;
  Runtime runtime = load_runtime(options, random_checkpoint(kTinyShape, "q8_0", pool));
  Inbox inbox;
  Stepper stepper(runtime, inbox);
  std::vector<std::shared_ptr<EventQueue>> queues;
  for (const Request& request : {greedy(random_prompt(5, 118, kTinyShape.vocab), 20), subject()}) {
    auto job = std::make_unique<Job>(queues.size() + 1, request.tokens, SamplerChain(request.sampling, kTinyShape.vocab));
    job->max_tokens = request.max_tokens;
    queues.push_back(job->events = std::make_shared<EventQueue>());
    inbox.submit(std::move(job));
  }
  std::thread thread([&] { stepper.run(); });
  for (const auto& queue : queues)
    while (queue->next()) {
    }
  inbox.stop();
  thread.join();
  EXPECT_GE(stepper.stats().preemptions, 1);
  EXPECT_EQ(runtime.kv->free_blocks(), 4);
}

// Rewrites a model's norms one unit in the last place up.
std::shared_ptr<const Checkpoint> one_ulp_off(const Checkpoint& model) {
  std::vector<RawTensor> tensors = model.tensors();
  for (RawTensor& tensor : tensors) {
    if (tensor.name != "model.norm.weight") continue;
    const StorageRef copy = heap_storage(tensor.bytes.size());
    auto* values = reinterpret_cast<float*>(copy->data());
    std::memcpy(values, tensor.bytes.data(), tensor.bytes.size());
    for (int64_t i = 0; i < tensor.elements(); ++i) values[i] = std::nextafter(values[i], 2.0f);
    tensor.bytes = {copy->data(), tensor.bytes.size()};
    tensor.owner = std::make_shared<StorageRef>(copy);
  }
  return Checkpoint::assemble(model.path(), model.config(), std::move(tensors));
}

// Positive controls: what the comparison above must be able to see.
TEST(BitIdentityControl, OneUlpOfOneNormIsSeen) {
  ThreadPool pool(1);
  const auto model = random_checkpoint(kTinyShape, "f32", pool);
  const Setting setting{"f32", isa_name(detect_cpu().isas.back())};
  const Text right = alone(*open_engine(options_of(setting), model));
  EXPECT_EQ(alone(*open_engine(options_of(setting), model)), right);
  EXPECT_FALSE(alone(*open_engine(options_of(setting), one_ulp_off(*model))) == right);
}

TEST(BitIdentityControl, AnotherSeedAndAnotherTokenAreSeen) {
  ThreadPool pool(1);
  const auto model = random_checkpoint(kTinyShape, "q4_0", pool);
  const auto engine = open_engine(options_of({"q4_0", isa_name(detect_cpu().isas.back())}), model);
  const Text right = alone(*engine);
  Request other = subject();
  other.sampling.seed = 4243;
  EXPECT_FALSE(read_all(*engine->submit(other)) == right);
  other = subject();
  other.tokens[0] = (other.tokens[0] + 1) % int32_t(kTinyShape.vocab);
  EXPECT_FALSE(read_all(*engine->submit(other)).logprobs == right.logprobs);
}

// Real checkpoints, quantized while loading: widths of 64 that are no multiple of a kernel's step.
class BitIdentityGolden : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};
INSTANTIATE_TEST_SUITE_P(Families, BitIdentityGolden,
                         ::testing::Combine(::testing::Values("llama3", "qwen3_window", "mistral", "qwen2", "mixtral_fused",
                                                              "qwen3_moe"),
                                            ::testing::Values("f32", "f16", "bf16", "q8_0", "q4_0")),
                         [](const auto& info) { return std::get<0>(info.param) + "_" + std::get<1>(info.param); });

TEST_P(BitIdentityGolden, AloneBatchedChunkedThreaded) {
  EngineOptions options;
  options.model = golden_path(std::get<0>(GetParam())).string();
  options.quant = std::get<1>(GetParam());
  options.threads = 1;
  options.kv_bytes = 4 << 20;
  const auto engine = Engine::open(options);
  const Text expected = alone(*engine);
  EXPECT_EQ(in_a_crowd(*engine, 2), expected);
  options.step_tokens = 7;
  options.threads = 2;
  EXPECT_EQ(in_a_crowd(*Engine::open(options), 5), expected);
}

// The last norm makes rows of subnormals, which a host's flushing mode would turn into zeros.
std::vector<float> subnormal_logits(int threads, FloatMode host) {
  ThreadPool pool(1);
  const auto checkpoint = random_checkpoint(kTinyShape, "f32", pool);
  const std::span<const std::byte> norm = checkpoint->find("model.norm.weight")->bytes;
  std::fill_n(reinterpret_cast<float*>(const_cast<std::byte*>(norm.data())), norm.size() / sizeof(float), 1e-39f);
  EngineOptions options = options_of({"f32", "", true});
  options.threads = threads;
  const FloatMode before = FloatMode::current();
  host.apply();
  const auto engine = open_engine(options, checkpoint);
  auto out = engine->logits(random_prompt(5, 9, kTinyShape.vocab));
  before.apply();
  return out;
}

TEST(BitIdentity, HostsThatFlushSubnormals) {
  const auto expected = subnormal_logits(1, FloatMode::standard());
  EXPECT_TRUE(std::ranges::any_of(expected, [](float x) { return x != 0; })) << "the control: there is something to flush";
  EXPECT_TRUE(std::ranges::all_of(expected, [](float x) { return std::fabs(x) < 0x1p-120f; }));
  for (const int threads : {1, 2})
    EXPECT_EQ(expected, subnormal_logits(threads, FloatMode::flushing())) << threads << " thread(s)";
}

}  // namespace
}  // namespace gale
