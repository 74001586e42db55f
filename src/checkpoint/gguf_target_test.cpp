#include <gmock/gmock.h>

#include <map>

#include "base/json.h"
#include "checkpoint/gguf_names.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/test_files.h"

namespace gale {
namespace {

using test::expect_error;
using Width = GgufWriter::Width;

Json llama_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"hidden_size", 8},
          {"intermediate_size", 16},
          {"num_hidden_layers", 1},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 1},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 500000.0},
          {"vocab_size", 10},
          {"head_dim", 6},
          {"max_position_embeddings", 64}};
}

std::map<std::string, GgufEntry> entries(const GgufTarget& target) {
  std::map<std::string, GgufEntry> out;
  for (const GgufEntry& entry : target.metadata) EXPECT_TRUE(out.emplace(entry.key, entry).second) << entry.key;
  return out;
}

void expect_entry(const std::map<std::string, GgufEntry>& all, const std::string& key, const GgufValue& value, Width width) {
  const auto found = all.find(key);
  ASSERT_NE(found, all.end()) << key;
  EXPECT_EQ(found->second.value, value) << key;
  EXPECT_EQ(found->second.width, width) << key;
}

const std::vector<std::string> kNames = {"model.embed_tokens.weight",
                                         "model.layers.0.self_attn.q_proj.weight",
                                         "model.layers.0.self_attn.q_proj.bias",
                                         "model.layers.0.self_attn.k_proj.weight",
                                         "model.layers.0.self_attn.rotary_emb.inv_freq",
                                         "lm_head.weight"};

TEST(GgufTarget, Llama) {
  const GgufTarget target = gguf_target(llama_config(), kNames);
  EXPECT_EQ(target.architecture, "llama");
  const auto all = entries(target);
  expect_entry(all, "general.architecture", std::string("llama"), Width::string);
  expect_entry(all, "llama.block_count", int64_t(1), Width::u32);
  expect_entry(all, "llama.attention.head_count_kv", int64_t(1), Width::u32);
  expect_entry(all, "llama.attention.key_length", int64_t(6), Width::u32);
  expect_entry(all, "llama.rope.dimension_count", int64_t(6), Width::u32);
  expect_entry(all, "llama.attention.layer_norm_rms_epsilon", 1e-5, Width::f32);
  expect_entry(all, "llama.rope.freq_base", 500000.0, Width::f32);
  EXPECT_FALSE(all.contains("llama.rope.scaling.type"));
  using Pair = std::pair<std::string, std::string>;
  EXPECT_THAT(target.names, testing::ElementsAre(Pair("model.embed_tokens.weight", "token_embd.weight"),
                                                 Pair("model.layers.0.self_attn.q_proj.weight", "blk.0.attn_q.weight"),
                                                 Pair("model.layers.0.self_attn.q_proj.bias", "blk.0.attn_q.bias"),
                                                 Pair("model.layers.0.self_attn.k_proj.weight", "blk.0.attn_k.weight"),
                                                 Pair("lm_head.weight", "output.weight")));
  using Heads = std::pair<std::string, int32_t>;
  EXPECT_THAT(target.interleave, testing::ElementsAre(Heads("model.layers.0.self_attn.q_proj.weight", 2),
                                                      Heads("model.layers.0.self_attn.q_proj.bias", 2),
                                                      Heads("model.layers.0.self_attn.k_proj.weight", 1)));
  EXPECT_TRUE(target.rope_factors.empty());
}

TEST(GgufTarget, MistralWindowAndTiedHead) {
  Json config = llama_config();
  config["architectures"] = {"MistralForCausalLM"};
  config["sliding_window"] = 4096;
  config["tie_word_embeddings"] = true;
  const GgufTarget target = gguf_target(config, kNames);
  expect_entry(entries(target), "llama.attention.sliding_window", int64_t(4096), Width::u32);
  EXPECT_EQ(target.names.back().first, "model.layers.0.self_attn.k_proj.weight");
}

TEST(GgufTarget, OnlySiluHasAPlace) {
  Json config = llama_config();
  for (const char* known : {"silu", "swish"}) {
    config["hidden_act"] = known;
    EXPECT_EQ(gguf_target(config, {}).architecture, "llama");
  }
  config["hidden_act"] = "gelu";
  expect_error(ErrorCode::unsupported, "hidden_act is \"gelu\", which cannot be written as GGUF; known are silu, swish",
               [&] { gguf_target(config, {}); });
}

TEST(GgufTarget, QwenWindows) {
  Json config = llama_config();
  config["architectures"] = {"Qwen2ForCausalLM"};
  config["num_hidden_layers"] = 3;
  config["sliding_window"] = 6;
  config["max_window_layers"] = 1;
  config["use_sliding_window"] = false;
  EXPECT_FALSE(entries(gguf_target(config, {})).contains("qwen2.attention.sliding_window"));
  config["use_sliding_window"] = true;
  const GgufTarget target = gguf_target(config, kNames);
  expect_entry(entries(target), "qwen2.attention.sliding_window", int64_t(6), Width::u32);
  expect_entry(entries(target), "qwen2.attention.sliding_window_pattern", std::vector<bool>{false, true, true},
               Width::boolean_array);
  EXPECT_TRUE(target.interleave.empty());
  config["layer_types"] = {"sliding_attention", "full_attention"};
  expect_error(ErrorCode::corrupt, "2 entries for 3 layers", [&] { gguf_target(config, {}); });
}

TEST(GgufTarget, Scaling) {
  Json config = llama_config();
  config["rope_scaling"] = {{"type", "linear"}, {"factor", 4.0}};
  expect_entry(entries(gguf_target(config, {})), "llama.rope.scaling.type", std::string("linear"), Width::string);
  config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}};
  expect_entry(entries(gguf_target(config, {})), "llama.rope.scaling.original_context_length", int64_t(32), Width::u32);
  config["rope_scaling"] = {{"rope_type", "dynamic"}, {"factor", 4.0}};
  expect_error(ErrorCode::unsupported, "rope scaling 'dynamic'", [&] { gguf_target(config, {}); });
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  const GgufTarget target = gguf_target(config, {});
  EXPECT_FALSE(entries(target).contains("llama.rope.scaling.type"));
  EXPECT_EQ(target.rope_factors.size(), 3u);
  EXPECT_TRUE(gguf_target(config, std::vector<std::string>{"rope_freqs.weight"}).rope_factors.empty());
}

TEST(GgufTarget, QuantizedNamesAreLogical) {
  const std::string stem = "model.layers.0.mlp.up_proj.";
  const GgufTarget target =
      gguf_target(llama_config(), std::vector<std::string>{stem + "qweight", stem + "qzeros", stem + "scales", stem + "g_idx"});
  using Pair = std::pair<std::string, std::string>;
  EXPECT_THAT(target.names, testing::ElementsAre(Pair(stem + "weight", "blk.0.ffn_up.weight")));
}

TEST(GgufTarget, Refusals) {
  Json config = llama_config();
  expect_error(ErrorCode::unsupported, "no name for the tensor model.odd.weight",
               [&] { gguf_target(config, std::vector<std::string>{"model.odd.weight"}); });
  config["architectures"] = {"GPT2LMHeadModel"};
  expect_error(ErrorCode::unsupported, "'GPT2LMHeadModel' cannot be written", [&] { gguf_target(config, {}); });
  config = llama_config();
  config["num_attention_heads"] = 0;
  expect_error(ErrorCode::corrupt, "num_attention_heads is 0", [&] { gguf_target(config, {}); });
  config.erase("num_attention_heads");
  expect_error(ErrorCode::corrupt, "num_attention_heads is missing", [&] { gguf_target(config, {}); });
}

// Values printed by transformers 5.23: ROPE_INIT_FUNCTIONS["llama3"] against the default inverse frequencies, head_dim 16.
TEST(RopeFactors, AsTransformers) {
  const Json config = {{"rope_theta", 500000.0},
                       {"head_dim", 16},
                       {"rope_scaling",
                        {{"rope_type", "llama3"},
                         {"factor", 8.0},
                         {"low_freq_factor", 1.0},
                         {"high_freq_factor", 4.0},
                         {"original_max_position_embeddings", 64}}}};
  const std::vector<float> expected = {1, 2.442259f, 8, 8, 8.000001f, 8, 8, 8};
  const std::vector<float> factors = rope_factors(config);
  ASSERT_EQ(factors.size(), expected.size());
  for (size_t i = 0; i < factors.size(); ++i) EXPECT_NEAR(factors[i], expected[i], 2e-6 * expected[i]) << i;
  EXPECT_TRUE(rope_factors(Json{{"rope_scaling", nullptr}}).empty());
}

TEST(RopeFactors, RefusesNonsense) {
  Json config = {{"head_dim", 16},
                 {"rope_scaling",
                  {{"rope_type", "llama3"},
                   {"factor", 0.0},
                   {"low_freq_factor", 1.0},
                   {"high_freq_factor", 4.0},
                   {"original_max_position_embeddings", 64}}}};
  expect_error(ErrorCode::corrupt, "factor must be a positive number, it is 0.0", [&] { rope_factors(config); });
  config["rope_scaling"]["factor"] = 8;
  config["rope_scaling"]["high_freq_factor"] = 1.0;
  expect_error(ErrorCode::corrupt, "must be above", [&] { rope_factors(config); });
  config["head_dim"] = 1e12;
  expect_error(ErrorCode::corrupt, "head width", [&] { rope_factors(config); });
}

TEST(NormalizeConfig, OneFormOfRope) {
  Json config = {{"rope_parameters", {{"rope_type", "llama3"}, {"rope_theta", 5e5}, {"factor", 8.0}}}};
  normalize_config(config);
  EXPECT_EQ(config["rope_theta"], 5e5);
  EXPECT_EQ(config["rope_scaling"], Json({{"rope_type", "llama3"}, {"factor", 8.0}}));
  config = {{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 1e4}, {"partial_rotary_factor", 0.5}}}};
  normalize_config(config);
  EXPECT_EQ(config["rope_scaling"], nullptr);
  EXPECT_EQ(config["partial_rotary_factor"], 0.5);
  config = {{"rope_scaling", {{"type", "linear"}, {"factor", 2}}}, {"text_config", {{"rope_parameters", {{"rope_theta", 7}}}}}};
  normalize_config(config);
  EXPECT_EQ(config["rope_scaling"], Json({{"factor", 2}, {"rope_type", "linear"}}));
  EXPECT_EQ(config["text_config"]["rope_theta"], 7);
  EXPECT_EQ(config["text_config"]["rope_scaling"], nullptr);
  config = {{"rope_parameters", {{"full_attention", {{"rope_theta", 1e6}}}, {"sliding_attention", {{"rope_theta", 1e4}}}}}};
  const Json before = config;
  normalize_config(config);
  EXPECT_EQ(config, before);
  config = {{"rope_scaling", 3}};
  expect_error(ErrorCode::corrupt, "rope_scaling is a number", [&] { normalize_config(config); });
}

Json settled(const char* text) {
  Json config = Json::parse(text);
  normalize_config(config);
  Json twice = config;
  normalize_config(twice);
  EXPECT_EQ(config, twice);
  return config;
}

// What LlamaConfig, MistralConfig, Qwen2Config and Qwen3Config of transformers 5 do.
TEST(NormalizeConfig, FamiliesSettleTheirWindow) {
  Json config = settled(R"({"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "sliding_window": 8,
                            "layer_types": ["sliding_attention", "full_attention"]})");
  EXPECT_EQ(config["sliding_window"], nullptr);
  EXPECT_FALSE(config.contains("layer_types"));
  EXPECT_EQ(settled(R"({"architectures": ["MistralForCausalLM"]})")["sliding_window"], 4096);
  EXPECT_EQ(settled(R"({"architectures": ["MistralForCausalLM"], "sliding_window": null})")["sliding_window"], nullptr);
  config = settled(R"({"architectures": ["MistralForCausalLM"], "sliding_window": 6, "use_sliding_window": false,
                       "num_hidden_layers": 1, "layer_types": ["full_attention"]})");
  EXPECT_EQ(config["sliding_window"], 6);
  EXPECT_FALSE(config.contains("layer_types"));
  for (const std::string family : {"Qwen2", "Qwen3"}) {
    const auto with = [&](const std::string& rest) {
      return settled(
          (R"({"architectures": [")" + family + R"(ForCausalLM"], "num_hidden_layers": 30, "sliding_window": 6)" + rest + "}")
              .c_str());
    };
    EXPECT_EQ(with("")["sliding_window"], nullptr);
    EXPECT_FALSE(with("").contains("layer_types"));
    config = with(R"(, "use_sliding_window": true)");
    EXPECT_EQ(config["sliding_window"], 6);
    ASSERT_EQ(config["layer_types"].size(), 30u);
    EXPECT_EQ(config["layer_types"][27], "full_attention");
    EXPECT_EQ(config["layer_types"][28], "sliding_attention");
    EXPECT_EQ(with(R"(, "use_sliding_window": true, "max_window_layers": 0)")["layer_types"][0], "sliding_attention");
  }
  EXPECT_EQ(settled(R"({"architectures": ["Qwen3ForCausalLM"]})")["head_dim"], 128);
  EXPECT_EQ(settled(R"({"architectures": ["MistralForCausalLM"]})")["num_key_value_heads"], 8);
  EXPECT_EQ(settled(R"({"architectures": ["MistralForCausalLM"], "num_key_value_heads": null})")["num_key_value_heads"], nullptr);
}

TEST(NormalizeConfig, LayerTypesMustFit) {
  const auto refused = [](ErrorCode code, const char* part, const char* types, int layers) {
    for (const char* family : {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}) {
      Json config = {{"architectures", {family}}, {"num_hidden_layers", layers}, {"layer_types", Json::parse(types)}};
      expect_error(code, part, [&] { normalize_config(config, "a/config.json"); });
    }
  };
  refused(ErrorCode::corrupt, "a/config.json: \"layer_types\" has 1 entries for 2 layers", R"(["full_attention"])", 2);
  refused(ErrorCode::unsupported, "entry 1 of \"layer_types\" is \"chunked_attention\"",
          R"(["full_attention", "chunked_attention"])", 2);
  refused(ErrorCode::unsupported, "entry 0 of \"layer_types\" is 1", "[1]", 1);
  refused(ErrorCode::corrupt, "\"layer_types\" is a object", "{}", 1);
  Json config = {{"architectures", {"Qwen2ForCausalLM"}}, {"use_sliding_window", true}, {"num_hidden_layers", 1 << 30}};
  expect_error(ErrorCode::corrupt, "\"num_hidden_layers\" is 1073741824, but", [&] { normalize_config(config); });
  config["use_sliding_window"] = 1;
  expect_error(ErrorCode::corrupt, "\"use_sliding_window\" is 1, but", [&] { normalize_config(config); });
}

// transformers' default rope of these families turns whole heads.
TEST(NormalizeConfig, PartialRotationIsNotTheirs) {
  EXPECT_FALSE(
      settled(R"({"architectures": ["LlamaForCausalLM"], "partial_rotary_factor": 0.5})").contains("partial_rotary_factor"));
  EXPECT_FALSE(settled(R"({"architectures": ["Qwen3ForCausalLM"], "rope_parameters": {"rope_type": "default", "rope_theta": 1e6,
                           "partial_rotary_factor": 0.5}})")
                   .contains("partial_rotary_factor"));
  Json config = {{"architectures", {"LlamaForCausalLM"}},
                 {"partial_rotary_factor", 0.5},
                 {"rope_scaling", {{"rope_type", "linear"}, {"factor", 2.0}}}};
  expect_error(ErrorCode::unsupported, "\"partial_rotary_factor\" is 0.5 beside", [&] { normalize_config(config); });
  config["architectures"] = {"PhiForCausalLM"};
  normalize_config(config);
  EXPECT_EQ(config["partial_rotary_factor"], 0.5);
}

}  // namespace
}  // namespace gale
