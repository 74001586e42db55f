#include "checkpoint/hf_experts.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/fail.h"
#include "base/json.h"
#include "checkpoint/gguf_names.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/test_files.h"

namespace gale {
namespace {

using test::expect_error;

const Json kMixtral = {{"architectures", {"MixtralForCausalLM"}}};
const Json kQwen3Moe = {{"architectures", {"Qwen3MoeForCausalLM"}}};

RawTensor raw(std::string name, Shape shape, const std::vector<float>& values) {
  RawTensor out;
  out.source = "file: " + name;
  out.name = std::move(name);
  out.shape = shape;
  out.bytes = std::as_bytes(std::span(values)).first(size_t(shape.elements()) * 4);
  return out;
}

void normalized(Json config, std::vector<RawTensor>& tensors) { normalize_experts(config, tensors); }

TEST(NormalizeExperts, MixtralsOwnNames) {
  const std::vector<float> values(8);
  std::vector<RawTensor> tensors;
  for (const char* name : {"gate.weight", "experts.1.w1.weight", "experts.1.w2.weight", "experts.1.w3.weight"})
    tensors.push_back(raw(std::string("model.layers.2.block_sparse_moe.") + name, {2, 4}, values));
  normalized(kMixtral, tensors);
  std::vector<std::string> names;
  for (const RawTensor& t : tensors) names.push_back(t.name);
  EXPECT_EQ(names, (std::vector<std::string>{"model.layers.2.mlp.gate.weight", "model.layers.2.mlp.experts.1.gate_proj.weight",
                                             "model.layers.2.mlp.experts.1.down_proj.weight",
                                             "model.layers.2.mlp.experts.1.up_proj.weight"}));
  std::vector<RawTensor> other = {raw("model.layers.2.block_sparse_moe.gate.weight", {2, 4}, values)};
  normalized({{"architectures", {"DbrxForCausalLM"}}}, other);
  EXPECT_EQ(other[0].name, "model.layers.2.block_sparse_moe.gate.weight") << "not known to lie so";
}

TEST(NormalizeExperts, GateAndUpInOneTensorComeApart) {
  std::vector<float> values(2 * 4 * 3);
  std::iota(values.begin(), values.end(), 0.0f);
  for (const char* suffix : {"", ".weight"}) {
    std::vector<RawTensor> tensors = {raw(std::string("model.layers.0.mlp.experts.gate_up_proj") + suffix, {2, 4, 3}, values),
                                      raw(std::string("model.layers.0.mlp.experts.down_proj") + suffix, {2, 3, 2}, values)};
    normalized(kQwen3Moe, tensors);
    ASSERT_EQ(tensors.size(), 5u);
    const char* names[] = {"0.gate_proj", "0.up_proj", "1.gate_proj", "1.up_proj"};
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(tensors[i].name, fmt::format("model.layers.0.mlp.experts.{}.weight", names[i]));
      EXPECT_EQ(tensors[i].shape, (Shape{2, 3}));
      ASSERT_EQ(tensors[i].bytes.size(), 24u);
      EXPECT_EQ(*reinterpret_cast<const float*>(tensors[i].bytes.data()), float(6 * i));
    }
    EXPECT_EQ(tensors[4].name, "model.layers.0.mlp.experts.down_proj.weight");
  }
  for (const Shape& shape : {Shape{2, 3, 3}, Shape{4, 3}, Shape{0, 4, 3}}) {
    std::vector<RawTensor> tensors = {raw("model.layers.0.mlp.experts.gate_up_proj", shape, values)};
    expect_error(ErrorCode::corrupt, "cannot be taken apart into experts", [&] { normalized(kMixtral, tensors); });
  }
}

// mlx_lm/models/switch_layers.py and sanitize() of models/mixtral.py.
TEST(NormalizeExperts, StacksOfMlxComeApartAndTheirSettingsGoAlong) {
  std::vector<float> values(64);
  std::iota(values.begin(), values.end(), 0.0f);
  Json config = kMixtral;
  config["quantization"] = {{"bits", 4},
                            {"model.layers.0.block_sparse_moe.switch_mlp.up_proj", {{"bits", 6}}},
                            {"model.layers.0.block_sparse_moe.gate", false}};
  const std::string at = "model.layers.0.block_sparse_moe.switch_mlp.up_proj.";
  std::vector<RawTensor> tensors = {raw(at + "weight", {2, 4, 3}, values), raw(at + "scales", {2, 4, 2}, values)};
  tensors[0].type = TensorType::u32;
  normalize_experts(config, tensors);
  ASSERT_EQ(tensors.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const bool scales = i >= 2;
    EXPECT_EQ(tensors[i].name, fmt::format("model.layers.0.mlp.experts.{}.up_proj.{}", i % 2, scales ? "scales" : "weight"));
    EXPECT_EQ(tensors[i].shape, (scales ? Shape{4, 2} : Shape{4, 3}));
    ASSERT_EQ(tensors[i].bytes.size(), scales ? 32u : 48u);
    EXPECT_EQ(*reinterpret_cast<const float*>(tensors[i].bytes.data()), i % 2 == 0 ? 0 : scales ? 8 : 12);
  }
  EXPECT_EQ(config["quantization"]["model.layers.0.mlp.experts.up_proj"]["bits"], 6);
  EXPECT_EQ(config["quantization"]["model.layers.0.mlp.gate"], false);
  std::vector<RawTensor> plain = {raw(at + "weight", {2, 4, 3}, values)};
  normalize_experts(config, plain);
  ASSERT_EQ(plain.size(), 1u) << "plain stacks stay together";
  EXPECT_EQ(plain[0].name, "model.layers.0.mlp.experts.up_proj.weight");
}

// Hostile shapes: what cannot be taken apart, or into more experts than there can be.
TEST(NormalizeExperts, StacksThatCannotBeTakenApart) {
  const std::vector<float> values(64);
  const Json gpt_oss = {{"architectures", {"GptOssForCausalLM"}}};
  const auto refused = [&](const char* name, const Shape& shape) {
    std::vector<RawTensor> tensors = {raw(std::string("model.layers.0.mlp.experts.") + name, {}, values)};
    tensors[0].shape = shape;
    expect_error(ErrorCode::corrupt, "cannot be taken apart", [&] { normalized(gpt_oss, tensors); });
  };
  refused("gate_up_proj", {2, 4, 3});
  refused("gate_up_proj", {2, 4});
  refused("gate_up_proj_blocks", {2, 3, 1, 2});
  refused("gate_up_proj_blocks", {4});
  refused("gate_up_proj_bias", {2, 5});
  refused("down_proj", {2, 4});
  refused("down_proj_blocks", {int64_t(1) << 40, 1, 0, 16});
  refused("gate_up_proj_scales", {int64_t(1) << 40, 2, 0});
}

TEST(NormalizeExperts, NamesOfSingleExperts) {
  const auto name = expert_name("model.layers.0.mlp.experts.17.up_proj.weight");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->fused, "model.layers.0.mlp.experts.up_proj.weight");
  EXPECT_EQ(name->expert, 17);
  for (const char* other :
       {"model.layers.0.mlp.experts.up_proj.weight", "model.layers.0.mlp.experts.-1.up_proj.weight",
        "model.layers.0.mlp.experts.1", "model.layers.0.mlp.experts.1x.up_proj.weight",
        "model.layers.0.mlp.experts.99999999999999999999.up_proj.weight", "model.layers.0.mlp.up_proj.weight"})
    EXPECT_FALSE(expert_name(other)) << other;
}

Json qwen3_moe(const char* more) {
  Json config = Json::parse(more);
  config.update({{"architectures", {"Qwen3MoeForCausalLM"}}, {"num_hidden_layers", 4}});
  normalize_config(config);
  Json twice = config;
  normalize_config(twice);
  EXPECT_EQ(config, twice);
  return config;
}

// What MixtralConfig and Qwen3MoeConfig of transformers 5 do, and Qwen3MoeDecoderLayer.
TEST(NormalizeExperts, ConfigsOfBothFamilies) {
  Json mixtral = kMixtral;
  normalize_config(mixtral);
  EXPECT_EQ(mixtral["sliding_window"], nullptr);
  EXPECT_EQ(mixtral["rope_theta"], 1e6);
  EXPECT_EQ(mixtral["num_local_experts"], 8);
  EXPECT_EQ(qwen3_moe("{}")["num_experts"], 128);
  EXPECT_EQ(qwen3_moe(R"({"num_local_experts": 16})")["num_experts"], 16);
  EXPECT_EQ(qwen3_moe("{}")["norm_topk_prob"], false);
  EXPECT_EQ(qwen3_moe(R"({"sliding_window": 6})")["sliding_window"], nullptr);
  EXPECT_EQ(qwen3_moe(R"({"sliding_window": 6, "use_sliding_window": true, "max_window_layers": 2})")["sliding_window"], 6);
  const Json s = "sparse", d = "dense";
  EXPECT_EQ(qwen3_moe("{}")["mlp_layer_types"], Json({s, s, s, s}));
  EXPECT_EQ(qwen3_moe(R"({"decoder_sparse_step": 2})")["mlp_layer_types"], Json({d, s, d, s}));
  EXPECT_EQ(qwen3_moe(R"({"mlp_only_layers": [0, 3, 99]})")["mlp_layer_types"], Json({d, s, s, d}));
  EXPECT_EQ(qwen3_moe(R"({"mlp_only_layers": null})")["mlp_layer_types"], Json({s, s, s, s}));
  expect_error(ErrorCode::corrupt, "\"decoder_sparse_step\" is 0, but", [] { qwen3_moe(R"({"decoder_sparse_step": 0})"); });
  expect_error(ErrorCode::corrupt, "\"mlp_only_layers\" has 0.5", [] { qwen3_moe(R"({"mlp_only_layers": [0.5]})"); });
  expect_error(ErrorCode::corrupt, "\"mlp_only_layers\" is a object", [] { qwen3_moe(R"({"mlp_only_layers": {}})"); });
}

Json small(const char* architecture) {
  return {{"architectures", {architecture}}, {"hidden_size", 8},         {"intermediate_size", 16},
          {"num_hidden_layers", 1},          {"num_attention_heads", 2}, {"num_key_value_heads", 1},
          {"num_local_experts", 3},          {"num_experts_per_tok", 2}, {"moe_intermediate_size", 6},
          {"norm_topk_prob", false},         {"vocab_size", 10},         {"max_position_embeddings", 64}};
}

std::optional<GgufValue> entry(const GgufTarget& target, std::string_view key) {
  for (const GgufEntry& e : target.metadata)
    if (e.key == key) return e.value;
  return std::nullopt;
}

TEST(NormalizeExperts, GgufTargets) {
  const std::string at = "model.layers.0.mlp.experts.";
  const std::vector<std::string> names = {at + "2.up_proj.weight", at + "0.up_proj.weight", "model.norm.weight",
                                          at + "1.up_proj.weight", "model.layers.0.mlp.gate.weight"};
  const GgufTarget qwen = gguf_target(small("Qwen3MoeForCausalLM"), names);
  EXPECT_EQ(qwen.architecture, "qwen3moe");
  EXPECT_EQ(entry(qwen, "qwen3moe.expert_count"), GgufValue(int64_t(3)));
  EXPECT_EQ(entry(qwen, "qwen3moe.expert_used_count"), GgufValue(int64_t(2)));
  EXPECT_EQ(entry(qwen, "qwen3moe.expert_feed_forward_length"), GgufValue(int64_t(6)));
  EXPECT_EQ(entry(qwen, "qwen3moe.expert_weights_norm"), GgufValue(false));
  using Pair = std::pair<std::string, std::string>;
  const std::string fused = "blk.0.ffn_up_exps.weight";
  EXPECT_EQ(qwen.names, (std::vector<Pair>{{"model.norm.weight", "output_norm.weight"},
                                           {"model.layers.0.mlp.gate.weight", "blk.0.ffn_gate_inp.weight"},
                                           {at + "0.up_proj.weight", fused},
                                           {at + "1.up_proj.weight", fused},
                                           {at + "2.up_proj.weight", fused}}));
  const GgufTarget mixtral = gguf_target(small("MixtralForCausalLM"), names);
  EXPECT_EQ(mixtral.architecture, "llama");
  EXPECT_EQ(entry(mixtral, "llama.expert_count"), GgufValue(int64_t(3)));
  EXPECT_FALSE(entry(mixtral, "llama.expert_feed_forward_length"));
  expect_error(ErrorCode::corrupt, "made from 1 experts, but one of them is number 2",
               [&] { gguf_target(small("MixtralForCausalLM"), std::vector<std::string>{names[0]}); });
}

}  // namespace
}  // namespace gale
