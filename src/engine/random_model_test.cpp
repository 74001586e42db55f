#include "engine/random_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/json.h"
#include "base/threads.h"
#include "engine/export_gguf.h"
#include "engine/open_engine.h"
#include "engine/test_engine.h"
#include "engine/weight_plan.h"
#include "quant/format.h"

namespace gale {
namespace {

using namespace gale::testing;

TEST(RandomModel, SameBytesOnAnyNumberOfThreads) {
  ThreadPool one(1), three(3);
  const auto a = random_checkpoint(kTinyShape, "q4_k_m", one), b = random_checkpoint(kTinyShape, "q4_k_m", three);
  const auto other = random_checkpoint(kTinyShape, "q4_k_m", one, 1);
  ASSERT_EQ(a->tensors().size(), b->tensors().size());
  for (size_t i = 0; i < a->tensors().size(); ++i) {
    const RawTensor &x = a->tensors()[i], &y = b->tensors()[i], &z = other->tensors()[i];
    ASSERT_EQ(x.bytes.size(), y.bytes.size());
    EXPECT_EQ(std::memcmp(x.bytes.data(), y.bytes.data(), x.bytes.size()), 0) << x.name;
    if (x.shape.rank() == 2) EXPECT_NE(std::memcmp(x.bytes.data(), z.bytes.data(), x.bytes.size()), 0) << x.name;
  }
}

TEST(RandomModel, WeightsOfEveryTypeHaveTheUsualSpread) {
  ThreadPool pool(1);
  for (const Format* format : formats()) {
    if (format->quantize == nullptr) continue;
    ASSERT_NE(format->randomize, nullptr) << format->name;
    const auto model = random_checkpoint(kTinyShape, format->name, pool);
    const RawTensor* raw = model->find("model.layers.0.mlp.up_proj.weight");
    ASSERT_NE(raw, nullptr);
    EXPECT_EQ(raw->type, format->stored);
    TensorGroup group;
    group.name = "up_proj";
    group.parts = {{"weight", raw}};
    std::vector<float> values(size_t(raw->elements()));
    format->dequantize(group, {0, raw->rows(), 0, raw->columns()}, values.data());
    double sum = 0, squares = 0;
    for (const float x : values) sum += x, squares += double(x) * x;
    const double mean = sum / double(values.size()), deviation = std::sqrt(squares / double(values.size()) - mean * mean);
    EXPECT_GT(deviation, 0.015) << format->name;
    EXPECT_LT(deviation, 0.03) << format->name;
    EXPECT_LT(std::fabs(mean), 0.005) << format->name;
  }
}

TEST(RandomModel, MixesFollowThePolicy) {
  ThreadPool pool(1);
  const auto model = random_checkpoint(kTinyShape, "q4_k_m", pool);
  EXPECT_EQ(model->find("lm_head.weight")->type, TensorType::q6_k);
  EXPECT_EQ(model->find("model.layers.0.self_attn.q_proj.weight")->type, TensorType::q4_k);
  EXPECT_EQ(model->find("model.norm.weight")->type, TensorType::f32);
  EXPECT_EQ(WeightPlan("4", 2, false).type(), "q4_k_m");
  EXPECT_EQ(WeightPlan("5", 2, false).type(), "q5_k_m");
}

TEST(RandomModel, ShapesAreListedWhereTheNameIsWrong) {
  EXPECT_EQ(find_random_shape("LLaMA-3.2-1B").hidden, 2048);
  try {
    find_random_shape("llama-9");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    EXPECT_NE(std::string(e.what()).find("qwen3-0.6b"), std::string::npos);
  }
  for (const RandomShape& shape : random_shapes()) EXPECT_EQ(shape.heads % shape.kv_heads, 0) << shape.name;
}

// What `quantize -o` writes of a random model are the bytes that `bench` runs, and the file runs the same.
void expect_own_bytes(const RandomShape& shape) {
  ThreadPool pool(2);
  const auto model = random_checkpoint(shape, "q4_k_m", pool);
  const TemporaryFolder folder;
  const ExportReport report = export_gguf(*model, "q4_k_m", folder / "model.gguf", pool);
  EXPECT_EQ(report.bytes, report.source_bytes);
  const auto file = Checkpoint::open(folder / "model.gguf");
  for (const RawTensor& tensor : model->tensors()) {
    const RawTensor* written = file->find(tensor.name);
    ASSERT_NE(written, nullptr) << tensor.name;
    ASSERT_EQ(written->type, tensor.type);
    for (int64_t r = 0; r < tensor.rows(); ++r)
      ASSERT_EQ(std::memcmp(written->row(r), tensor.row(r), size_t(tensor.row_stride())), 0) << tensor.name << " row " << r;
  }
  EngineOptions options;
  options.model = "random:tiny";
  options.exact = true;
  options.threads = 2;
  options.kv_bytes = 1 << 22;
  const auto prompt = random_prompt(1, 30, shape.vocab);
  const auto a = open_engine(options, model)->logits(prompt), b = open_engine(options, file)->logits(prompt);
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::fabs(double(a[i]) - double(b[i])));
  EXPECT_LT(worst, 1e-4) << "rope's frequencies are divided in another order, nothing else differs";
}

TEST(RandomModel, ExportsItsOwnBytes) {
  RandomShape shape = kTinyShape;
  shape.llama3_factor = 8;
  expect_own_bytes(shape);
  expect_own_bytes(kTinyMoeShape);
}

TEST(RandomModel, ScaledExpertsKeepTheLayersOfTheWholeModel) {
  const RandomShape &whole = find_random_shape("qwen3-30b-a3b"), &part = find_random_shape("qwen3-5b-a0.5b"),
                    &twin = find_random_shape("qwen3-5b-a0.5b-dense-twin");
  for (int64_t RandomShape::* field : {&RandomShape::hidden, &RandomShape::heads, &RandomShape::kv_heads, &RandomShape::head_dim,
                                       &RandomShape::experts, &RandomShape::experts_used, &RandomShape::expert_intermediate})
    EXPECT_EQ(whole.*field, part.*field);
  EXPECT_EQ(twin.intermediate, part.experts_used * part.expert_intermediate);
  EXPECT_EQ(twin.layers, part.layers);
  EXPECT_EQ(twin.vocab, part.vocab);
}

TEST(ExportGguf, QuantizesAndReadsItsOwnFileBack) {
  const TemporaryFolder folder;
  std::vector<int64_t> seen;
  const auto report =
      quantize_model(golden_path("qwen3").string(), "q8_0", folder / "a.gguf", 2, [&](int64_t done, int64_t total) {
        seen.push_back(done);
        EXPECT_LE(done, total);
      });
  EXPECT_LT(report.bytes, report.source_bytes);
  EXPECT_EQ(int64_t(seen.size()), report.tensors);
  EXPECT_EQ(seen.back(), report.source_bytes);
  // Again from the GGUF: tensors that have their type are copied, so nothing changes.
  quantize_model((folder / "a.gguf").string(), "q8_0", folder / "b.gguf", 1);
  const auto a = Checkpoint::open(folder / "a.gguf"), b = Checkpoint::open(folder / "b.gguf");
  ASSERT_EQ(a->tensors().size(), b->tensors().size());
  for (const RawTensor& tensor : a->tensors()) {
    const RawTensor* other = b->find(tensor.name);
    ASSERT_NE(other, nullptr);
    EXPECT_EQ(tensor.type, other->type);
    EXPECT_EQ(std::memcmp(tensor.bytes.data(), other->bytes.data(), tensor.bytes.size()), 0) << tensor.name;
  }
  EXPECT_EQ(a->config().at("num_key_value_heads"), b->config().at("num_key_value_heads"));
}

TEST(ExportGguf, SameBytesOnAnyNumberOfThreads) {
  const TemporaryFolder folder;
  const auto written = [&](const std::string& type, int threads) {
    ThreadPool pool(threads);
    const std::filesystem::path path = folder / (type + std::to_string(threads));
    export_gguf(*random_checkpoint(kTinyShape, "bf16", pool), type, path, pool);
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  for (const std::string type : {"q4_k_m", "q6_k", "q8_0", "q4_0", "f16"}) {
    const std::string one = written(type, 1);
    EXPECT_GT(one.size(), 100000u) << type;
    for (const int threads : {2, 3, 5}) EXPECT_TRUE(written(type, threads) == one) << type << " on " << threads;
  }
}

TEST(ExportGguf, RefusesWhatCannotBe) {
  const TemporaryFolder folder;
  EXPECT_THROW(quantize_model(golden_path("qwen3").string(), "q11", folder / "a.gguf"), Error);
  EXPECT_THROW(quantize_model((folder / "none").string(), "q8_0", folder / "a.gguf"), Error);
  EXPECT_THROW(quantize_model(golden_path("qwen3").string(), "q8_0", folder / "no" / "such" / "a.gguf"), Error);
  quantize_model(golden_path("qwen3").string(), "f16", folder / "a.gguf", 1);
  EXPECT_THROW(quantize_model((folder / "a.gguf").string(), "q8_0", folder / "a.gguf"), Error);
  EXPECT_TRUE(std::filesystem::exists(folder / "a.gguf"));
}

}  // namespace
}  // namespace gale
