#include "engine/calibrate.h"

#include <gmock/gmock.h>

#include <cmath>
#include <fstream>

#include "base/cpu.h"
#include "base/threads.h"
#include "engine/model_source.h"
#include "engine/open_engine.h"
#include "engine/pack_model.h"
#include "engine/test_fidelity.h"
#include "gale/error.h"
#include "tokenizer/tokenizer.h"

namespace gale {
namespace {

using namespace gale::testing;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TokenWindows random_windows(int64_t vocab, int64_t tokens = 96) {
  return {random_prompt(1, tokens, vocab), random_prompt(2, tokens, vocab)};
}

struct Outcome {
  std::shared_ptr<const Checkpoint> made;
  std::string note;
};

Outcome calibrated(const std::shared_ptr<const Checkpoint>& source, const TokenWindows& windows, int threads = 2,
                   int64_t bytes = 0) {
  ThreadPool pool(threads);
  WeightPlan plan = WeightPlan::of("gptq3", *source);
  auto made = calibrate(source, windows, plan, {.pool = pool, .sums_bytes = bytes});
  return {std::move(made), plan.message()};
}

void expect_same(const Checkpoint& a, const Checkpoint& b) {
  ASSERT_EQ(a.tensors().size(), b.tensors().size());
  for (const RawTensor& tensor : a.tensors()) {
    const RawTensor* other = b.find(tensor.name);
    ASSERT_NE(other, nullptr) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(tensor.bytes, other->bytes)) << tensor.name;
  }
}

std::shared_ptr<const Checkpoint> tiny(const RandomShape& shape) {
  ThreadPool pool(2);
  return random_checkpoint(shape, "bf16", pool);
}

TEST(Calibrate, GivesTheSameBytesOnAnyNumberOfThreadsInAnyNumberOfPasses) {
  for (const RandomShape& shape : {kTinyShape, kTinyMoeShape}) {
    const auto source = tiny(shape);
    const auto windows = random_windows(shape.vocab);
    const Outcome one = calibrated(source, windows, 1);
    expect_same(*one.made, *calibrated(source, windows, 3).made);
    expect_same(*one.made, *calibrated(source, windows, 2, 1).made);  // a pass for each input
    EXPECT_THAT(one.note, IsEmpty());
  }
}

TEST(Calibrate, MakesEveryMatrixThatThePolicyWants) {
  const auto source = tiny(kTinyMoeShape);
  const auto made = calibrated(source, random_windows(kTinyMoeShape.vocab)).made;
  int64_t matrices = 0;
  for (const RawTensor& tensor : made->tensors()) matrices += tensor.type == TensorType::gptq3 ? 1 : 0;
  EXPECT_EQ(matrices, 2 * (4 + 3));  // experts of a kind are one; embedding and router are others
  EXPECT_EQ(made->find("model.layers.0.mlp.experts.up_proj.weight")->shape, (Shape{5, 256, 256}));
  EXPECT_EQ(made->find("model.layers.0.mlp.experts.1.up_proj.weight"), nullptr);
}

// One token goes to three of the five experts of a layer.
TEST(Calibrate, ExpertsThatSawNothingAreRoundedToNearest) {
  const auto source = tiny(kTinyMoeShape);
  const Outcome out = calibrated(source, {{7}});
  EXPECT_THAT(out.note, HasSubstr("12 matrices of experts saw no word of the text, model.layers.0.mlp.experts."));
  const RawTensor& up = *out.made->find("model.layers.0.mlp.experts.up_proj.weight");
  const size_t bytes = up.bytes.size() / 5;
  int nearest = 0;
  for (int64_t e = 0; e < 5; ++e) {
    const TensorGroup group = group_of(*source, "model.layers.0.mlp.experts." + std::to_string(e) + ".up_proj");
    const TensorGroup fused = group_of(*source, "model.layers.0.mlp.experts.up_proj");
    const bool apart = !group.parts.empty();
    const TensorGroup& from = apart ? group : fused;
    std::vector<float> values(size_t(256 * 256));
    format_of(from).dequantize(from, {apart ? 0 : e * 256, 256, 0, 256}, values.data());
    std::vector<std::byte> plain(bytes);
    const std::vector<float> zeros(256);
    find_format("gptq3").quantize(cpu_kernels(isa_to_run(detect_cpu())), values.data(), 256, 256, zeros.data(), plain.data());
    nearest += std::ranges::equal(plain, up.bytes.subspan(size_t(e) * bytes, bytes)) ? 1 : 0;
  }
  EXPECT_EQ(nearest, 2);
}

TEST(Calibrate, NeedsATokenizerOnlyForAText) {
  const TemporaryFolder folder;
  std::ofstream(folder / "text.txt") << "some words";
  const auto source = tiny(kTinyShape);
  ThreadPool pool(1);
  QuantRecipe recipe("gptq4");
  WeightPlan plan = WeightPlan::of(recipe, *source);
  EXPECT_EQ(calibrate(source, recipe, plan, {.pool = pool}), source);
  EXPECT_THAT(plan.message(), HasSubstr("no tokenizer"));
  recipe.calibrate = (folder / "text.txt").string();
  EXPECT_THROW(calibrate(source, recipe, plan, {.pool = pool}), Error);
  recipe.type = "q4_0";
  WeightPlan other = WeightPlan::of(recipe, *source);
  EXPECT_EQ(calibrate(source, recipe, other, {.pool = pool}), source);
  EXPECT_THAT(other.message(), HasSubstr("no text was needed"));
  recipe.calibrate = "/no/such/text";
  EXPECT_THROW(recipe.read(), Error);
}

EngineOptions demo(const std::string& quant, const std::string& text) {
  EngineOptions out;
  out.model = "demo";
  out.threads = 2;
  out.kv_bytes = 4 << 20;
  out.quant = quant;
  out.calibrate = text;
  return out;
}

std::vector<std::vector<float>> logits_of(Engine& engine, const TokenWindows& texts) {
  std::vector<std::vector<float>> out;
  for (const auto& text : texts) out.push_back(engine.logits(text));
  return out;
}

// A trained model, and texts as it writes them itself: some to calibrate by, others to judge by.
class DemoCalibrate : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto engine = Engine::open(demo("", ""));
    std::ofstream text(folder_ / "text.txt");
    for (uint64_t seed = 0; seed < 32; ++seed) text << engine->tokenizer()->decode(write_story(*engine, seed), true);
    for (uint64_t seed = 100; seed < 116; ++seed) judged_.push_back(write_story(*engine, seed));
    base_ = logits_of(*engine, judged_);
    vocab_ = engine->info().vocab;
  }
  double kl(Engine& engine) const { return mean_kl(base_, logits_of(engine, judged_), vocab_); }
  std::string text() const { return (folder_ / "text.txt").string(); }

  TemporaryFolder folder_;
  TokenWindows judged_;
  std::vector<std::vector<float>> base_;
  int64_t vocab_ = 0;
};

TEST_F(DemoCalibrate, KeepsTheBundledModelCloserToWhatItWasThanRoundingToNearest) {
  ThreadPool pool(2);
  const auto source = open_model("demo", "", pool);
  // Without a tokenizer nothing can be read: to nearest, the control.
  const auto mute = Checkpoint::assemble("mute", source->config(), source->tensors());
  for (const char* type : {"gptq4", "gptq3"}) {
    const double nearest = kl(*open_engine(demo(type, ""), mute)), by_text = kl(*Engine::open(demo(type, text())));
    EXPECT_LT(by_text, 0.5 * nearest) << type;
  }
  // What is built in knows nothing of this model's kind of text.
  EXPECT_LT(kl(*Engine::open(demo("gptq4", ""))), kl(*open_engine(demo("gptq4", ""), mute)));
}

TEST_F(DemoCalibrate, PackedLoadedAndExchangedAreTheSame) {
  const auto loaded = Engine::open(demo("gptq4", ""));
  const auto expected = loaded->logits(judged_.front());
  const ExportReport report = pack_model("demo", "gptq4", folder_ / "m.gale", 1);
  EXPECT_THAT(report.note, HasSubstr("tokens that is built in"));
  EngineOptions packed = demo("", "");
  packed.model = (folder_ / "m.gale").string();
  EXPECT_EQ(Engine::open(packed)->logits(judged_.front()), expected);
  const auto changed = Engine::open(demo("", ""));
  changed->requantize("gptq4");
  EXPECT_EQ(changed->logits(judged_.front()), expected);
  changed->requantize("");
  EXPECT_EQ(changed->logits(judged_.front()), base_.front()) << "the file's own again";
  EXPECT_EQ(loaded->info().file_bytes, changed->info().file_bytes);
}

}  // namespace
}  // namespace gale
