#include "quant/policy.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "gale/error.h"

namespace gale {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

std::string_view choice(std::string_view type, std::string_view name, int layer = 5, int layers = 32, bool tied = false,
                        int64_t columns = 4096) {
  const QuantPolicy policy = QuantPolicy::named(type);
  return policy.choose({.name = name, .rows = 4096, .columns = columns, .layer = layer, .layers = layers, .tied_head = tied})
      .format->name;
}

TEST(QuantPolicy, MediumMixGivesMoreBitsToFirstLastAndEveryThirdLayer) {
  std::string value, down, query;
  for (int layer = 0; layer < 32; ++layer) {
    value += choice("q4_k_m", "model.layers.9.self_attn.v_proj.weight", layer).substr(1, 1);
    down += choice("q4_k_m", "model.layers.9.mlp.down_proj.weight", layer).substr(1, 1);
    query += choice("q4_k_m", "model.layers.9.self_attn.q_proj.weight", layer).substr(1, 1);
  }
  EXPECT_EQ(value, "66664464464464464464464464466666");  // first 4, last 4, and 6, 9, ... 27 of 32
  EXPECT_EQ(down, value);
  std::string value5;
  for (int layer = 0; layer < 32; ++layer)
    value5 += choice("q5_k_m", "model.layers.9.self_attn.v_proj.weight", layer).substr(1, 1);
  EXPECT_EQ(value5, "66665565565565565565565565566666");
  EXPECT_EQ(query, std::string(32, '4'));
}

TEST(QuantPolicy, SmallMixGivesMoreBitsToTheFirstLayersOnly) {
  EXPECT_EQ(choice("q4_k_s", "model.layers.3.self_attn.v_proj.weight", 3), "q5_k");
  EXPECT_EQ(choice("q4_k_s", "model.layers.4.self_attn.v_proj.weight", 4), "q4_k");
  EXPECT_EQ(choice("q4_k_s", "model.layers.1.mlp.down_proj.weight", 1, 16), "q5_k");
  EXPECT_EQ(choice("q4_k_s", "model.layers.2.mlp.down_proj.weight", 2, 16), "q4_k");
}

TEST(QuantPolicy, MixesOfFewBits) {
  const std::string value = "model.layers.9.self_attn.v_proj.weight", down = "model.layers.9.mlp.down_proj.weight",
                    output = "model.layers.9.self_attn.o_proj.weight", gate = "model.layers.9.mlp.gate_proj.weight";
  const auto all = [&](std::string_view type, int layer) {
    std::string out;
    for (const std::string& name : {value, down, output, gate}) out += choice(type, name, layer).substr(1, 1);
    return out;
  };
  EXPECT_EQ(all("q3_k_s", 0), "3333");
  EXPECT_EQ(all("q3_k_m", 1), "5543");
  EXPECT_EQ(all("q3_k_m", 2), "4443");
  EXPECT_EQ(all("q3_k_l", 20), "5553");
  EXPECT_EQ(all("q2_k", 20), "3332");
  EXPECT_EQ(all("q2_k_s", 3), "2422");
  EXPECT_EQ(all("q2_k_s", 4), "2222");
  const QuantPolicy::Tensor narrow{.name = value, .rows = 1024, .columns = 4096, .layer = 20, .layers = 32};
  for (const std::string_view type : {"q2_k", "q2_k_s"}) EXPECT_EQ(QuantPolicy::named(type).choose(narrow).format->name, "q4_k");
  EXPECT_EQ(choice("tq2_0", "model.embed_tokens.weight", -1), "q4_k");
  EXPECT_EQ(choice("iq2_xs", "model.embed_tokens.weight", -1), "q2_k");
  EXPECT_EQ(choice("iq2_s", output, 20), "iq3_s");
  EXPECT_EQ(choice("iq3_xxs", gate, 20), "iq3_xxs");
  EXPECT_EQ(choice("tq2_0", gate, 3), "tq2_0");
}

TEST(QuantPolicy, FiveBitsSmallIsOneTypeButForTheHead) {
  for (const std::string_view name : {"self_attn.v_proj", "mlp.down_proj", "mlp.gate_proj"})
    EXPECT_EQ(choice("q5_k_s", fmt::format("model.layers.0.{}.weight", name), 0), "q5_k");
  EXPECT_EQ(choice("q5_k_s", "lm_head.weight", -1), "q6_k");
}

TEST(QuantPolicy, FewLayers) {
  EXPECT_EQ(choice("q4_k_m", "model.layers.0.mlp.down_proj.weight", 0, 1), "q6_k");
  EXPECT_EQ(choice("q4_k_m", "model.layers.0.mlp.down_proj.weight", 0, 4), "q4_k");
  EXPECT_EQ(choice("q4_k_m", "model.layers.2.mlp.down_proj.weight", 2, 4), "q6_k");
}

TEST(QuantPolicy, ExpertsAndFusedNamesAreKnown) {
  EXPECT_EQ(choice("q4_k_m", "model.layers.0.mlp.experts.17.down_proj.weight", 0), "q6_k");
  EXPECT_EQ(choice("q4_k_m", "model.layers.0.block_sparse_moe.experts.3.w2.weight", 0), "q6_k");
  EXPECT_EQ(choice("q4_k_m", "model.layers.0.self_attn.qkv_proj.weight", 0), "q6_k");
  EXPECT_EQ(choice("q4_k_m", "model.layers.0.mlp.gate_proj.weight", 0), "q4_k");
  EXPECT_EQ(choice("q4_k_m", "model.layers.0.mlp.gate.weight", 0), "f32");
  EXPECT_EQ(choice("q4_k_m", "model.layers.0.block_sparse_moe.gate.weight", 0), "f32");
}

TEST(QuantPolicy, HeadKeepsSixBits) {
  for (const std::string_view type : {"q4_0", "q4_k", "q4_k_s", "q4_k_m", "q5_k", "q5_k_m", "q6_k"}) {
    EXPECT_EQ(choice(type, "lm_head.weight", -1), "q6_k") << type;
    EXPECT_EQ(choice(type, "model.embed_tokens.weight", -1, 32, true), "q6_k") << type;
    EXPECT_EQ(choice(type, "model.embed_tokens.weight", -1), type.substr(0, 4)) << type;
  }
  for (const std::string_view type : {"q8_0", "f16", "bf16", "f32"}) {
    EXPECT_EQ(choice(type, "lm_head.weight", -1), type);
    EXPECT_EQ(choice(type, "model.embed_tokens.weight", -1, 32, true), type);
  }
}

TEST(QuantPolicy, VectorsStayWhole) {
  for (const std::string_view type : QuantPolicy::names()) {
    const QuantPolicy policy = QuantPolicy::named(type);
    for (const QuantPolicy::Tensor& tensor :
         {QuantPolicy::Tensor{.name = "model.layers.0.input_layernorm.weight", .rows = 1, .columns = 4096},
          QuantPolicy::Tensor{.name = "model.layers.0.self_attn.q_norm.weight", .rows = 8, .columns = 256},
          QuantPolicy::Tensor{.name = "model.layers.0.self_attn.q_proj.bias", .rows = 1, .columns = 4096}})
      EXPECT_EQ(policy.choose(tensor).format->name, "f32") << tensor.name;
  }
}

TEST(QuantPolicy, ColumnsThatDoNotFitFallBackWithOneMessage) {
  const QuantPolicy policy = QuantPolicy::named("q4_k_m");
  QuantFallbacks fallbacks;
  EXPECT_EQ(fallbacks.message(), "");
  const auto add = [&](std::string_view name, int64_t columns) {
    const QuantPolicy::Tensor tensor{.name = name, .rows = 64, .columns = columns, .layer = 0, .layers = 24};
    const QuantPolicy::Choice choice = policy.choose(tensor);
    fallbacks.add(tensor, choice);
    return choice.format->name;
  };
  EXPECT_EQ(add("model.layers.0.self_attn.q_proj.weight", 4096), "q4_k");
  EXPECT_EQ(fallbacks.message(), "");
  EXPECT_EQ(add("model.layers.0.self_attn.q_proj.weight", 896), "q8_0");
  EXPECT_EQ(fallbacks.message(),
            "model.layers.0.self_attn.q_proj.weight has 896 columns, q4_k needs a multiple of 256: q8_0 instead");
  EXPECT_EQ(add("model.layers.0.mlp.down_proj.weight", 100), "f16");
  EXPECT_EQ(add("model.layers.0.mlp.up_proj.weight", 896), "q8_0");
  EXPECT_THAT(fallbacks.message(), HasSubstr("(and 2 more like it)"));
  EXPECT_EQ(choice("q8_0", "model.layers.0.mlp.up_proj.weight", 0, 24, false, 36), "f16");
  EXPECT_EQ(choice("bf16", "model.layers.0.mlp.up_proj.weight", 0, 24, false, 36), "bf16");
}

TEST(QuantPolicy, Names) {
  EXPECT_THAT(QuantPolicy::names(), Contains("q4_k_m"));
  EXPECT_THAT(QuantPolicy::names(), Contains("q8_0"));
  EXPECT_EQ(QuantPolicy::named("Q4_K_M").name(), "q4_k_m");
  try {
    QuantPolicy::named("q5");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    for (const std::string_view name : QuantPolicy::names()) EXPECT_THAT(error.what(), HasSubstr(std::string(name)));
  }
}

}  // namespace
}  // namespace gale
