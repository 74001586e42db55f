#include "engine/topology.h"

#include <gmock/gmock.h>

#include "gale/error.h"

namespace gale {
namespace {

using ::testing::HasSubstr;

std::string type_of(const std::string& yaml, const std::string& name, int layer) {
  return std::string(Topology::parse(yaml, "t.yaml").type_of(name, layer));
}

TEST(Topology, LayersRangesAndPatterns) {
  const std::string yaml =
      "0-2: {quant: q6_k}\n"
      "2: {isq: Q4K}\n"
      "'/v_proj/': {quant: q8_0}\n"
      "'/lm_head/':\n  device: cpu\n  quant: 8\n";
  EXPECT_EQ(type_of(yaml, "model.layers.0.self_attn.q_proj.weight", 0), "q6_k");
  EXPECT_EQ(type_of(yaml, "model.layers.1.self_attn.q_proj.weight", 1), "q6_k");
  EXPECT_EQ(type_of(yaml, "model.layers.2.self_attn.q_proj.weight", 2), "q4_k");
  EXPECT_EQ(type_of(yaml, "model.layers.3.self_attn.q_proj.weight", 3), "");
  EXPECT_EQ(type_of(yaml, "model.layers.1.self_attn.v_proj.weight", 1), "q8_0") << "patterns go before layers";
  EXPECT_EQ(type_of(yaml, "lm_head.weight", -1), "q8_0");
  EXPECT_EQ(type_of(yaml, "model.embed_tokens.weight", -1), "");
}

// As in mistral.rs: the range that ends last, of those that end together the later one, and the later pattern.
TEST(Topology, WhatCountsWhereSeveralMeet) {
  EXPECT_EQ(type_of("0-4: {isq: q4_k}\n2-6: {isq: q6_k}\n", "x", 3), "q6_k");
  EXPECT_EQ(type_of("2-6: {isq: q6_k}\n0-4: {isq: q4_k}\n", "x", 3), "q6_k");
  EXPECT_EQ(type_of("0-4: {isq: q4_k}\n2-4: {isq: q3_k}\n", "x", 3), "q3_k");
  EXPECT_EQ(type_of("'/up/': {isq: q4_k}\n'/up_proj/': {isq: q6_k}\n", "a.up_proj.weight", 0), "q6_k");
}

TEST(Topology, SaysWhatWasOfNoUse) {
  Topology t = Topology::parse("0: {quant: q6_k}\n7: {quant: q4_k}\n'/nothing/': {quant: q8_0}\n", "t.yaml");
  t.type_of("model.layers.0.mlp.up_proj.weight", 0);
  EXPECT_EQ(t.unused(), "/nothing/, 7");
}

TEST(Topology, WhatItCannotMeanIsRefusedWithItsLine) {
  const auto refused = [](const std::string& yaml, const std::string& part) {
    try {
      Topology::parse(yaml, "t.yaml");
      ADD_FAILURE() << "expected an error for " << yaml;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("t.yaml, line ")) << yaml;
      EXPECT_THAT(e.what(), HasSubstr(part)) << yaml;
    }
  };
  refused("- a\n", "is a mapping");
  refused("", "is a mapping");
  refused("0: {quant: q4_k}\nx: {quant: q4_k}\n", "line 2: \"x\" is no layer");
  refused("8-8: {quant: q4_k}\n", "no range with its end above its start");
  refused("4-2: {quant: q4_k}\n", "no range");
  refused("-1: {quant: q4_k}\n", "is no layer");
  refused("99999999999999: {quant: q4_k}\n", "is no layer");
  refused("0: q4_k\n", "needs a mapping");
  refused("0: {quant: q11}\n", "unknown quantization type \"q11\"");
  refused("0: {quantize: q4_k}\n", "\"quantize\" means nothing here");
  refused("0: {device: 'cuda[0]'}\n", "this build runs on the cpu");
  refused("'/(/': {quant: q4_k}\n", "(");
  refused("0: {quant: [q4_k\n", "line");
  refused("\t0: x\n", "line");
  refused(std::string(5000, '[') + "\n", "line");
}

}  // namespace
}  // namespace gale
