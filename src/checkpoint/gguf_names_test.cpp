#include "checkpoint/gguf_names.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/json.h"
#include "checkpoint/gguf_tables.h"
#include "checkpoint/test_files.h"

namespace gale {
namespace {

using test::expect_error;
using Width = GgufWriter::Width;

struct Named {
  std::string name;
  Shape shape;
};

/// Writes and reads back a file with the given metadata and f32 tensors of ones.
std::shared_ptr<const GgufFile> make(const test::TempDir& dir, const std::vector<GgufEntry>& metadata,
                                     const std::vector<Named>& tensors) {
  GgufWriter out(dir / "m.gguf");
  for (const GgufEntry& entry : metadata) out.set(entry.key, entry.value, entry.width);
  for (const Named& tensor : tensors) out.declare(tensor.name, TensorType::f32, tensor.shape);
  for (const Named& tensor : tensors) {
    const std::vector<float> ones(size_t(tensor.shape.elements()), 1.0f);
    out.data(std::as_bytes(std::span(ones)));
  }
  out.commit();
  return GgufFile::open(dir / "m.gguf");
}

std::vector<GgufEntry> base_metadata(const std::string& name, const std::string& prefix) {
  return {{"general.architecture", name, Width::string},
          {prefix + ".embedding_length", int64_t(8), Width::u32},
          {prefix + ".block_count", int64_t(1), Width::u32},
          {prefix + ".feed_forward_length", int64_t(16), Width::u32},
          {prefix + ".context_length", int64_t(64), Width::u32},
          {prefix + ".attention.head_count", int64_t(2), Width::u32},
          {prefix + ".attention.head_count_kv", int64_t(1), Width::u32},
          {prefix + ".attention.layer_norm_rms_epsilon", 1e-5, Width::f32}};
}

const std::vector<Named> kDense = {
    {"token_embd.weight", {10, 8}},   {"output_norm.weight", {8}},          {"blk.0.attn_norm.weight", {8}},
    {"blk.0.ffn_norm.weight", {8}},   {"blk.0.attn_q.weight", {8, 8}},      {"blk.0.attn_k.weight", {4, 8}},
    {"blk.0.attn_v.weight", {4, 8}},  {"blk.0.attn_output.weight", {8, 8}}, {"blk.0.ffn_gate.weight", {16, 8}},
    {"blk.0.ffn_up.weight", {16, 8}}, {"blk.0.ffn_down.weight", {8, 16}}};

const RawTensor* find(const GgufTranslation& translation, std::string_view name) {
  for (const RawTensor& tensor : translation.tensors)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

TEST(TensorNames, BothWays) {
  const std::pair<const char*, const char*> pairs[] = {
      {"token_embd.weight", "model.embed_tokens.weight"},
      {"output_norm.weight", "model.norm.weight"},
      {"output.weight", "lm_head.weight"},
      {"rope_freqs.weight", "rope_freqs.weight"},
      {"blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight"},
      {"blk.31.attn_q.bias", "model.layers.31.self_attn.q_proj.bias"},
      {"blk.1.attn_k_norm.weight", "model.layers.1.self_attn.k_norm.weight"},
      {"blk.1.ffn_norm.weight", "model.layers.1.post_attention_layernorm.weight"},
      {"blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight"},
      {"blk.1.ffn_gate_inp.weight", "model.layers.1.mlp.gate.weight"},
      {"blk.1.ffn_gate_exps.weight", "model.layers.1.mlp.experts.gate_proj.weight"},
  };
  for (const auto& [gguf, hf] : pairs) {
    EXPECT_EQ(hf_tensor_name(gguf), hf);
    EXPECT_EQ(gguf_tensor_name(hf), gguf);
  }
  EXPECT_EQ(hf_tensor_name("blk.2.ffn_up.7.weight"), "model.layers.2.mlp.experts.7.up_proj.weight");
  EXPECT_EQ(hf_tensor_name("blk.2.ssm_in.weight"), "model.layers.2.ssm_in.weight");
  for (const char* odd : {"blk.", "blk.x.attn_q.weight", "blk.1", "mm.0.weight", "x", "."}) EXPECT_EQ(hf_tensor_name(odd), odd);
  for (const char* odd :
       {"model.layers.1.mlp.gate_proj.qweight", "model.layers.x.mlp.gate_proj.weight", "model.layers.1.foo.weight", "", "x"})
    EXPECT_EQ(gguf_tensor_name(odd), std::nullopt);
}

// The sample's q and k were permuted by the code of convert_hf_to_gguf.py; row and element i hold the value i in HF's order.
TEST(TranslateGguf, UndoesTheConvertersPermutation) {
  const auto file = GgufFile::open(GALE_SOURCE_DIR "/src/checkpoint/testdata/python_writer.gguf");
  const GgufTranslation out = translate_gguf(*file);
  const Json& config = *out.config;
  EXPECT_EQ(config["architectures"][0], "LlamaForCausalLM");
  EXPECT_EQ(config["rms_norm_eps"], 1e-5);  // not its f32 neighbour
  EXPECT_EQ(config["rope_theta"], 500000.0);
  EXPECT_EQ(config["head_dim"], 8);
  EXPECT_EQ(config["num_key_value_heads"], 2);
  EXPECT_EQ(config["vocab_size"], 16);
  EXPECT_EQ(config["tie_word_embeddings"], true);
  EXPECT_EQ(config["attention_bias"], true);
  EXPECT_EQ(config["eos_token_id"], 1);
  for (const auto& [part, heads] : {std::pair("q", 4), std::pair("k", 2)}) {
    const std::string stem = std::string("model.layers.0.self_attn.") + part + "_proj.";
    const RawTensor *weight = find(out, stem + "weight"), *bias = find(out, stem + "bias");
    ASSERT_TRUE(weight && bias);
    EXPECT_EQ(weight->interleaved_heads, heads);
    EXPECT_EQ(bias->interleaved_heads, 0);
    for (int64_t i = 0; i < weight->rows(); ++i) {
      uint16_t half = 0;
      std::memcpy(&half, weight->row(i), 2);
      // f16 of small whole numbers: compare through the first rows' known pattern
      uint16_t other = 0;
      std::memcpy(&other, weight->row(i) + 2, 2);
      EXPECT_EQ(half, other);
      float element = 0;
      std::memcpy(&element, bias->bytes.data() + i * 4, 4);
      EXPECT_EQ(element, float(i));
      const int exponent = i == 0 ? 0 : int(std::floor(std::log2(double(i))));
      const uint16_t expected = i == 0 ? 0 : uint16_t(((exponent + 15) << 10) | ((int(i) - (1 << exponent)) << (10 - exponent)));
      EXPECT_EQ(half, expected) << stem << " row " << i;
    }
  }
  EXPECT_EQ(find(out, "model.layers.0.self_attn.v_proj.weight")->interleaved_heads, 0);
}

TEST(TranslateGguf, CaseDoesNotMatter) {
  test::TempDir dir;
  for (const char* name : {"LLaMA", "Qwen3", "QWEN2"}) {
    const GgufTranslation out = translate_gguf(*make(dir, base_metadata(name, lower_case(name)), kDense));
    EXPECT_EQ(lower_case(std::string((*out.config)["architectures"][0])), lower_case(name) + "forcausallm");
    EXPECT_EQ((*out.config)["hidden_size"], 8);
  }
  EXPECT_EQ((*translate_gguf(*make(dir, base_metadata("LLaMA", "LLaMA"), kDense)).config)["hidden_size"], 8);
}

TEST(TranslateGguf, OnlyLlamaInterleaves) {
  test::TempDir dir;
  const GgufTranslation qwen = translate_gguf(*make(dir, base_metadata("qwen2", "qwen2"), kDense));
  for (const RawTensor& tensor : qwen.tensors) EXPECT_EQ(tensor.interleaved_heads, 0) << tensor.name;
  const GgufTranslation llama = translate_gguf(*make(dir, base_metadata("llama", "llama"), kDense));
  EXPECT_EQ(find(llama, "model.layers.0.self_attn.q_proj.weight")->interleaved_heads, 2);
  EXPECT_EQ(find(llama, "model.layers.0.self_attn.k_proj.weight")->interleaved_heads, 1);
}

TEST(TranslateGguf, WindowsAndScaling) {
  test::TempDir dir;
  auto metadata = base_metadata("llama", "llama");
  metadata.push_back({"llama.attention.sliding_window", int64_t(4096), Width::u32});
  metadata.push_back({"llama.rope.scaling.type", std::string("linear"), Width::string});
  metadata.push_back({"llama.rope.scaling.factor", 4.0, Width::f32});
  const Json mistral = *translate_gguf(*make(dir, metadata, kDense)).config;
  EXPECT_EQ(mistral["architectures"][0], "MistralForCausalLM");
  EXPECT_EQ(mistral["sliding_window"], 4096);
  EXPECT_EQ(mistral["rope_scaling"], Json({{"rope_type", "linear"}, {"factor", 4.0}}));

  metadata = base_metadata("qwen2", "qwen2");
  metadata.push_back({"qwen2.attention.sliding_window", int64_t(6), Width::u32});
  Json qwen = *translate_gguf(*make(dir, metadata, kDense)).config;
  EXPECT_EQ(qwen["use_sliding_window"], false);
  EXPECT_EQ(qwen["sliding_window"], nullptr);
  metadata.push_back({"qwen2.attention.sliding_window_pattern", std::vector<bool>{true}, Width::boolean_array});
  metadata.push_back({"qwen2.rope.scaling.type", std::string("yarn"), Width::string});
  metadata.push_back({"qwen2.rope.scaling.factor", 4.0, Width::f32});
  metadata.push_back({"qwen2.rope.scaling.original_context_length", int64_t(32768), Width::u32});
  qwen = *translate_gguf(*make(dir, metadata, kDense)).config;
  EXPECT_EQ(qwen["use_sliding_window"], true);
  EXPECT_EQ(qwen["layer_types"], Json({"sliding_attention"}));
  EXPECT_EQ(qwen["rope_scaling"]["rope_type"], "yarn");
  EXPECT_EQ(qwen["rope_scaling"]["original_max_position_embeddings"], 32768);

  metadata = base_metadata("qwen2", "qwen2");
  metadata.push_back({"qwen2.attention.sliding_window", int64_t(6), Width::u32});
  metadata.push_back({"qwen2.attention.sliding_window_pattern", std::vector<bool>{true, false, true}, Width::boolean_array});
  expect_error(ErrorCode::corrupt, "sliding_window_pattern' has 3 entries for",
               [&] { translate_gguf(*make(dir, metadata, kDense)); });
}

// A GGUF says what it means: the defaults of config.json's families do not touch it, neither opened nor written again.
TEST(TranslateGguf, WindowPatternAndPartialRotationSurvive) {
  test::TempDir dir;
  auto metadata = base_metadata("llama", "llama");
  std::ranges::find(metadata, "llama.block_count", &GgufEntry::key)->value = int64_t(2);
  metadata.push_back({"llama.attention.sliding_window", int64_t(6), Width::u32});
  metadata.push_back({"llama.attention.sliding_window_pattern", std::vector<bool>{true, false}, Width::boolean_array});
  metadata.push_back({"llama.rope.dimension_count", int64_t(2), Width::u32});
  make(dir, metadata, kDense);
  const auto checkpoint = Checkpoint::open(dir / "m.gguf");
  EXPECT_EQ(checkpoint->config()["sliding_window"], 6);
  EXPECT_EQ(checkpoint->config()["layer_types"], Json({"sliding_attention", "full_attention"}));
  EXPECT_EQ(checkpoint->config()["partial_rotary_factor"], 0.5);
  std::map<std::string, GgufValue> written;
  for (const GgufEntry& entry : gguf_target(*checkpoint).metadata) written[entry.key] = entry.value;
  for (const char* key :
       {"llama.attention.sliding_window", "llama.attention.sliding_window_pattern", "llama.rope.dimension_count"})
    EXPECT_EQ(written[key], std::ranges::find(metadata, key, &GgufEntry::key)->value) << key;
}

TEST(TranslateGguf, Experts) {
  test::TempDir dir;
  auto metadata = base_metadata("Qwen3MoE", "qwen3moe");
  metadata.push_back({"qwen3moe.expert_count", int64_t(4), Width::u32});
  metadata.push_back({"qwen3moe.expert_used_count", int64_t(2), Width::u32});
  metadata.push_back({"qwen3moe.expert_feed_forward_length", int64_t(6), Width::u32});
  auto tensors = kDense;
  tensors.resize(8);
  tensors.push_back({"blk.0.ffn_gate_inp.weight", {4, 8}});
  tensors.push_back({"blk.0.ffn_gate_exps.weight", {4, 6, 8}});
  const GgufTranslation out = translate_gguf(*make(dir, metadata, tensors));
  EXPECT_EQ((*out.config)["architectures"][0], "Qwen3MoeForCausalLM");
  EXPECT_EQ((*out.config)["num_experts"], 4);
  EXPECT_EQ((*out.config)["moe_intermediate_size"], 6);
  EXPECT_EQ(find(out, "model.layers.0.mlp.experts.gate_proj.weight")->shape, (Shape{4, 6, 8}));
  EXPECT_TRUE(find(out, "model.layers.0.mlp.gate.weight"));
  EXPECT_EQ((*out.config)["mlp_layer_types"], Json({"sparse"}));
  EXPECT_EQ((*out.config)["norm_topk_prob"], true);
  metadata.push_back({"qwen3moe.expert_weights_norm", false, Width::boolean});
  EXPECT_EQ((*translate_gguf(*make(dir, metadata, tensors)).config)["norm_topk_prob"], false);
  EXPECT_EQ((*translate_gguf(*make(dir, metadata, kDense)).config)["mlp_layer_types"], Json({"dense"}));
  metadata = base_metadata("llama", "llama");
  metadata.push_back({"llama.expert_count", int64_t(4), Width::u32});
  EXPECT_EQ((*translate_gguf(*make(dir, metadata, kDense)).config)["architectures"][0], "MixtralForCausalLM");
}

TEST(TranslateGguf, GenericFallback) {
  test::TempDir dir;
  const GgufTranslation out = translate_gguf(*make(dir, base_metadata("NewArch", "newarch"), kDense));
  EXPECT_EQ((*out.config)["architectures"][0], "NewArch");
  EXPECT_EQ((*out.config)["num_hidden_layers"], 1);
  EXPECT_TRUE(find(out, "model.layers.0.self_attn.q_proj.weight"));
}

TEST(TranslateGguf, TrulyUnknownListsTheKnown) {
  test::TempDir dir;
  const auto file = make(dir, {{"general.architecture", std::string("clip"), Width::string}}, {{"v.patch_embd.weight", {2, 3}}});
  expect_error(ErrorCode::unsupported, "m.gguf: architecture 'clip' is unknown", [&] { translate_gguf(*file); });
  expect_error(ErrorCode::unsupported, "known are llama, qwen2, qwen3, qwen2moe, qwen3moe", [&] { translate_gguf(*file); });
}

TEST(TranslateGguf, MissingKeys) {
  test::TempDir dir;
  auto metadata = base_metadata("llama", "llama");
  metadata.erase(metadata.begin() + 2);
  expect_error(ErrorCode::corrupt, "'llama.block_count' is missing", [&] { translate_gguf(*make(dir, metadata, kDense)); });
  expect_error(ErrorCode::corrupt, "general.architecture", [&] { translate_gguf(*make(dir, {}, kDense)); });
}

TEST(TranslateGguf, VocabularyOnly) {
  test::TempDir dir;
  const GgufTranslation out =
      translate_gguf(*make(dir,
                           {{"general.architecture", std::string("falcon"), Width::string},
                            {"tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"}, Width::string_array}},
                           {}));
  EXPECT_EQ((*out.config)["vocab_size"], 2);
}

}  // namespace
}  // namespace gale
