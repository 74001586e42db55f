#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <span>

#include "base/fail.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/threads.h"
#include "checkpoint/safetensors.h"
#include "nn/weights.h"

// Experts fused in one tensor or a tensor each: the same panels.
namespace gale {
namespace {

constexpr int64_t kCount = 3, kOut = 24, kIn = 256;  // one whole panel and a half

RawTensor quantized(const std::string& name, const Format& format, Shape shape, uint64_t seed) {
  const int64_t rows = shape.elements() / shape[-1], stride = row_bytes(format.stored, shape[-1], name);
  auto bytes = std::make_shared<std::vector<std::byte>>(size_t(rows * stride));
  for (int64_t r = 0; r < rows; ++r) format.randomize(seed + uint64_t(r), shape[-1], bytes->data() + r * stride);
  RawTensor out;
  out.name = name;
  out.source = "made: " + name;
  out.type = format.stored;
  out.shape = shape;
  out.bytes = *bytes;
  out.owner = bytes;
  return out;
}

struct Loaded {
  std::shared_ptr<const ExpertMatrix> experts;
  std::string problem;
};

Loaded load(std::vector<RawTensor> tensors, Loader::Requantize requantize = {}, int64_t count = kCount) {
  ThreadPool pool(2);
  Loader::Options options;
  options.requantize = std::move(requantize);
  const Json config = {{"quantization_config", {{"quant_method", "gptq"}, {"bits", 4}}}};
  Loader loader(Checkpoint::assemble("made", config, std::move(tensors)), pool, std::move(options));
  Loaded out{Weights(loader, "mlp.experts").experts("up_proj", {count, kOut, kIn}), ""};
  try {
    loader.finish();
  } catch (const Error& e) {
    out.problem = e.what();
  }
  return out;
}

std::vector<RawTensor> single(const Format& format) {
  std::vector<RawTensor> out;
  for (int64_t e = 0; e < kCount; ++e)
    out.push_back(quantized(fmt::format("mlp.experts.{}.up_proj.weight", e), format, {kOut, kIn}, uint64_t(1 + e * kOut)));
  return out;
}

std::vector<RawTensor> fused(const Format& format) {
  return {quantized("mlp.experts.up_proj.weight", format, {kCount, kOut, kIn}, 1)};
}

void expect_same(const ExpertMatrix& a, const ExpertMatrix& b) {
  ASSERT_EQ(a.stacked.layout, b.stacked.layout);
  ASSERT_EQ(a.stacked.bytes(), b.stacked.bytes());
  EXPECT_EQ(std::memcmp(a.stacked.data->data(), b.stacked.data->data(), size_t(a.stacked.bytes())), 0);
}

RawTensor numbers(const std::string& name, Shape shape, std::vector<float> values) {
  auto held = std::make_shared<std::vector<float>>(std::move(values));
  RawTensor out;
  out.name = name;
  out.source = "made: " + name;
  out.shape = shape;
  out.bytes = std::as_bytes(std::span(*held));
  out.owner = held;
  return out;
}

// NVFP4 in GGUF has a scale for each expert beside the weights.
TEST(LoadExperts, ScalesBesideFusedExpertsAreThoseOfEach) {
  const Format& format = find_format("nvfp4");
  std::vector<RawTensor> one = fused(format), each = single(format);
  one.push_back(numbers("mlp.experts.up_proj.scale", {kCount}, {0.5f, 2.0f, 3.0f}));
  for (int64_t e = 0; e < kCount; ++e)
    each.push_back(numbers(fmt::format("mlp.experts.{}.up_proj.scale", e), {1}, {e == 0 ? 0.5f : float(e + 1)}));
  const Loaded a = load(std::move(each)), b = load(std::move(one)), plain = load(fused(format));
  ASSERT_TRUE(a.experts && b.experts && plain.experts) << a.problem << b.problem;
  expect_same(*a.experts, *b.experts);
  std::vector<float> row(static_cast<size_t>(kIn)), unscaled(row.size());
  unpack_row(b.experts->stacked, 2 * 32 + 5, row.data());
  unpack_row(plain.experts->stacked, 2 * 32 + 5, unscaled.data());
  for (size_t i = 0; i < row.size(); ++i) ASSERT_NEAR(row[i], 3 * unscaled[i], 1e-6f);
}

std::vector<float> values_of(const RawTensor& tensor) {
  TensorGroup group;
  group.name = tensor.name;
  group.parts = {{"weight", &tensor}};
  std::vector<float> out(size_t(tensor.elements()));
  format_of(group).dequantize(group, {0, tensor.rows(), 0, tensor.columns()}, out.data());
  return out;
}

// What transformers makes of the experts of gpt-oss: see tests/golden/make_gpt_oss.py.
struct GptOss {
  static constexpr int64_t kExperts = 2, kInner = 96, kHidden = 64;
  explicit GptOss(const std::string& form)
      : folder(std::filesystem::path(GALE_SOURCE_DIR) / "tests/golden/data" / ("gpt_oss_" + form)),
        loader(Checkpoint::open(folder), pool, {}) {
    for (RawTensor& tensor : open_safetensors(folder / "experts.safetensors")) used.emplace(tensor.name, values_of(tensor));
  }
  std::vector<float> loaded(const char* matrix, int64_t expert, int64_t out, int64_t in) {
    const auto all = Weights(loader, "model.layers.0.mlp.experts").experts(matrix, {kExperts, out, in});
    std::vector<float> values(size_t(out * in));
    EXPECT_TRUE(all) << matrix;
    for (int64_t r = 0; all && r < out; ++r)
      unpack_row(all->stacked, expert * all->panels() * kPanelRows + r, values.data() + r * in);
    return values;
  }
  std::vector<float> bias(const char* matrix, int64_t n) {
    const Tensor vector = loader.vector(fmt::format("model.layers.0.mlp.experts.{}.bias", matrix), kExperts * n);
    return {vector.data<float>(), vector.data<float>() + vector.elements()};
  }

  std::filesystem::path folder;
  ThreadPool pool{2};
  Loader loader;
  std::map<std::string, std::vector<float>> used;
};

TEST(LoadExperts, GptOssGateAndUpComeApartAsTransformersUsesThem) {
  for (const char* form : {"mxfp4", "bf16"}) {
    SCOPED_TRACE(form);
    GptOss files(form);
    for (int64_t e = 0; e < GptOss::kExperts; ++e) {
      EXPECT_EQ(files.loaded("gate_proj", e, GptOss::kInner, GptOss::kHidden), files.used.at(fmt::format("gate.{}", e)));
      EXPECT_EQ(files.loaded("up_proj", e, GptOss::kInner, GptOss::kHidden), files.used.at(fmt::format("up.{}", e)));
      EXPECT_EQ(files.loaded("down_proj", e, GptOss::kHidden, GptOss::kInner), files.used.at(fmt::format("down.{}", e)));
    }
    EXPECT_NE(files.used.at("gate.0"), files.used.at("up.0"));
    EXPECT_EQ(files.bias("gate_proj", GptOss::kInner), files.used.at("gate_bias"));
    EXPECT_EQ(files.bias("up_proj", GptOss::kInner), files.used.at("up_bias"));
    EXPECT_EQ(files.bias("down_proj", GptOss::kHidden).size(), size_t(GptOss::kExperts * GptOss::kHidden));
  }
}

// Quantized anew they are read by values instead of by groups.
TEST(LoadExperts, GptOssExpertsCanBecomeAnotherType) {
  for (const char* form : {"mxfp4", "bf16"}) {
    const GptOss files(form);
    Loader::Options options;
    options.requantize = [](std::string_view name, int64_t, int64_t) {
      return name.find(".experts.") == name.npos ? nullptr : &find_format("f32");
    };
    ThreadPool pool(2);
    Loader loader(Checkpoint::open(files.folder), pool, options);
    const auto up = Weights(loader, "model.layers.0.mlp.experts").experts("up_proj", {2, GptOss::kInner, GptOss::kHidden});
    ASSERT_TRUE(up);
    std::vector<float> row(size_t{GptOss::kHidden});
    unpack_row(up->stacked, up->panels() * kPanelRows + 7, row.data());
    const float* want = files.used.at("up.1").data() + 7 * GptOss::kHidden;
    EXPECT_EQ(row, std::vector<float>(want, want + GptOss::kHidden));
  }
}

// No format but those that know of it reads what lies between another tensor's rows.
TEST(LoadExperts, WovenTensorsAreRefusedByOtherFormats) {
  std::vector<std::byte> bytes(2 * 32 * 34);
  RawTensor woven;
  woven.name = "experts.0.up_proj.weight";
  woven.type = TensorType::q8_0;
  woven.shape = {32, 32};
  woven.bytes = std::span(bytes).first(63 * 34);
  woven.row_apart = 68;
  TensorGroup group;
  group.name = "experts.0.up_proj";
  group.parts = {{"weight", &woven}};
  EXPECT_THROW(format_of(group), Error);
  RawTensor codes = woven, scales = woven;
  codes.type = TensorType::i8;
  scales.type = TensorType::f32;
  scales.shape = {32};
  group.parts = {{"weight", &codes}, {"SCB", &scales}};
  EXPECT_THROW(format_of(group).shape(group), Error);
}

TEST(LoadExperts, FusedOrSingleGiveTheSamePanels) {
  for (const char* type : {"f32", "bf16", "q8_0", "q4_k", "q5_k", "q6_k", "mxfp4"}) {
    const Format& format = find_format(type);
    const Loaded a = load(single(format)), b = load(fused(format));
    ASSERT_TRUE(a.experts && b.experts) << a.problem << b.problem;
    EXPECT_EQ(a.problem + b.problem, "");
    EXPECT_EQ(a.experts->stacked.rows, kCount * 32) << "each in panels of its own";
    expect_same(*a.experts, *b.experts);
    // Row 5 of expert 2 is where its panels say.
    std::vector<float> row(static_cast<size_t>(kIn)), want(row.size());
    unpack_row(a.experts->stacked, 2 * 32 + 5, row.data());
    const auto tensors = single(format);
    TensorGroup group;
    group.parts = {{"weight", &tensors[2]}};
    format.dequantize(group, {5, 1, 0, kIn}, want.data());
    EXPECT_EQ(row, want) << type;
  }
}

TEST(LoadExperts, QuantizedInPlaceTheyAreAlike) {
  const auto to_q8_0 = [](std::string_view, int64_t, int64_t) { return &find_format("q8_0"); };
  const Loaded a = load(single(find_format("f32")), to_q8_0), b = load(fused(find_format("f32")), to_q8_0);
  ASSERT_TRUE(a.experts && b.experts);
  EXPECT_EQ(a.experts->stacked.layout.bits, 8);
  expect_same(*a.experts, *b.experts);
}

// Random GPTQ parts of 4 bits in groups of 64; act-order scatters the columns of all experts but the first.
std::vector<RawTensor> gptq_experts() {
  std::vector<RawTensor> out;
  SplitMix64 random{3};
  for (int64_t e = 0; e < kCount; ++e) {
    const auto add = [&](const char* part, TensorType type, Shape shape, auto value) {
      auto values = std::make_shared<std::vector<decltype(value(0))>>();
      for (int64_t i = 0; i < shape.elements(); ++i) values->push_back(value(i));
      RawTensor tensor;
      tensor.name = fmt::format("mlp.experts.{}.up_proj.{}", e, part);
      tensor.source = "made: " + tensor.name;
      tensor.type = type;
      tensor.shape = shape;
      tensor.bytes = std::as_bytes(std::span(*values));
      tensor.owner = values;
      out.push_back(std::move(tensor));
    };
    const auto words = [&](int64_t) { return uint32_t(random()); };
    add("qweight", TensorType::i32, {kIn / 8, kOut}, words);
    add("qzeros", TensorType::i32, {kIn / 64, kOut / 8}, words);
    add("scales", TensorType::f16, {kIn / 64, kOut}, [&](int64_t) { return uint16_t(0x1c00 + random() % 512); });
    add("g_idx", TensorType::i32, {kIn}, [&](int64_t i) { return int32_t(e == 0 ? i / 64 : (i * 7 + e) % (kIn / 64)); });
  }
  return out;
}

TEST(LoadExperts, EachHasItsOwnOrderOfColumns) {
  const auto tensors = gptq_experts();
  const Loaded all = load(tensors);
  ASSERT_TRUE(all.experts) << all.problem;
  ASSERT_TRUE(all.experts->orders);
  for (int64_t e = 0; e < kCount; ++e) {
    TensorGroup group;
    const Json config = {{"quant_method", "gptq"}, {"bits", 4}};
    group.quantization_config = &config;
    for (const RawTensor& t : tensors)
      if (const std::string prefix = fmt::format("mlp.experts.{}.up_proj.", e); t.name.starts_with(prefix))
        group.parts[t.name.substr(prefix.size())] = &t;
    std::vector<float> row(static_cast<size_t>(kIn)), want(row.size());
    format_of(group).dequantize(group, {5, 1, 0, kIn}, want.data());
    unpack_row(all.experts->stacked, e * 32 + 5, row.data());  // in the expert's order
    const int32_t* order = all.experts->column_order(e);
    for (int64_t i = 0; i < kIn; ++i) ASSERT_EQ(row[size_t(i)], want[size_t(order[i])]) << "expert " << e;
    EXPECT_EQ(std::is_sorted(order, order + kIn), e == 0);
  }
  const auto to_q8_0 = [](std::string_view, int64_t, int64_t) { return &find_format("q8_0"); };
  EXPECT_FALSE(load(tensors, to_q8_0).experts->orders) << "quantized anew, columns are as they come";
}

TEST(LoadExperts, WhatDoesNotFitIsReported) {
  const auto says = [](const Loaded& l, std::string_view part) {
    EXPECT_EQ(l.experts, nullptr);
    EXPECT_NE(l.problem.find(part), std::string::npos) << l.problem;
  };
  auto tensors = single(find_format("q8_0"));
  tensors.erase(tensors.begin() + 1);
  says(load(tensors), "mlp.experts.1.up_proj.weight, the first of 2 experts, is missing");
  tensors = single(find_format("q8_0"));
  tensors[2] = quantized(tensors[2].name, find_format("q4_0"), {kOut, kIn}, 1);
  says(load(tensors), "mlp.experts.2.up_proj has the layout u4 g32 f16");
  says(load(tensors), "--quant");
  tensors[2] = quantized(tensors[2].name, find_format("q8_0"), {kOut - 1, kIn}, 1);
  says(load(tensors), "mlp.experts.2.up_proj is [23, 256], but the config asks for [24, 256]");
  says(load(fused(find_format("q8_0")), {}, kCount + 1),
       "mlp.experts.up_proj is [3, 24, 256], but the config asks for [4, 24, 256]");
  says(load({}, {}, kCount), "the first of 3 experts, is missing");
}

}  // namespace
}  // namespace gale
