#include "gale/features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "base/json.h"
#include "gale/error.h"
#include "quant/format.h"

namespace gale {
namespace {

using ::testing::HasSubstr;

ErrorCode code_of(std::string_view feature) {
  try {
    require_feature(feature);
  } catch (const Error& e) {
    return e.code();
  }
  return ErrorCode::internal;
}

TEST(Features, EveryFeatureThatIsOffHasAHint) {
  std::set<std::string> names;
  for (const Feature& f : features().list) {
    EXPECT_TRUE(names.insert(f.name).second) << f.name << " twice";
    EXPECT_FALSE(f.detail.empty()) << f.name;
    if (!f.enabled) EXPECT_FALSE(f.hint.empty()) << f.name;
  }
}

TEST(Features, RequireOnOffUnknown) {
  EXPECT_NO_THROW(require_feature("generic"));
  EXPECT_NO_THROW(require_feature("Paged_Attention"));
  EXPECT_EQ(code_of("metal"), ErrorCode::unsupported);
  EXPECT_EQ(code_of("warp-drive"), ErrorCode::invalid_argument);
  try {
    require_feature("cuda");
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr(features().find("cuda")->hint));
  }
}

TEST(Features, HintsOfThoseThatAreOff) {
  const std::vector<std::string_view> names = {"gguf", "metal", "python"};
  const auto hints = compilation_hints(names);
  ASSERT_EQ(hints.size(), 2u);
  EXPECT_THAT(hints[0], HasSubstr("metal: "));
  const std::vector<std::string_view> unknown = {"warp-drive"};
  EXPECT_THROW(compilation_hints(unknown), Error);
}

TEST(Features, SummaryAndJson) {
  Features none;
  EXPECT_EQ(none.summary(), "no optional features");
  none.list = {{"a", true, "x", ""}, {"b", false, "x", "y"}, {"c", true, "x", ""}};
  EXPECT_EQ(none.summary(), "a, c");
  const Json json = Json::parse(features().to_json());
  EXPECT_EQ(json.at("features").size(), features().list.size());
  EXPECT_EQ(json.at("formats").size(), quantization_formats().size());
  EXPECT_GE(json.at("cpu").at("threads").get<int>(), 1);
  EXPECT_FALSE(json.at("build").at("compiler").get<std::string>().empty());
}

TEST(Features, OneProbeForAllThreads) {
  std::vector<std::thread> threads;
  std::vector<const Features*> seen(8);
  for (size_t i = 0; i < seen.size(); ++i) threads.emplace_back([&, i] { seen[i] = &features(); });
  for (auto& t : threads) t.join();
  for (const Features* f : seen) EXPECT_EQ(f, seen[0]);
}

TEST(QuantizationSupport, WhatTheRegistryHasIsUsable) {
  for (const Format* format : formats()) {
    const QuantSupport q = quantization_support(format->name);
    EXPECT_EQ(q.state, QuantState::stable) << format->name;
    EXPECT_EQ(q.can_write, format->quantize != nullptr) << format->name;
    EXPECT_TRUE(q.is_usable());
  }
}

TEST(QuantizationSupport, NamesAndAliasesAreUnique) {
  std::set<std::string> names;
  for (const QuantSupport& q : quantization_formats()) {
    EXPECT_TRUE(names.insert(q.name).second) << q.name;
    for (const auto& alias : q.aliases) EXPECT_TRUE(names.insert(alias).second) << alias;
  }
}

TEST(QuantizationSupport, StatesAndMessages) {
  EXPECT_EQ(quantization_support("Q4-K").name, "q4_k");
  EXPECT_EQ(quantization_support("Q4_K_M").state, QuantState::stable);
  EXPECT_EQ(quantization_support("bnb-nf4").name, "bitsandbytes");
  const QuantSupport unknown = quantization_support("q9_z");
  EXPECT_EQ(unknown.state, QuantState::unknown);
  EXPECT_FALSE(unknown.is_usable());
  EXPECT_THAT(unknown.warning_message(), HasSubstr("\"q9_z\" is no weight format"));
  EXPECT_THAT((QuantSupport{"x", QuantState::unsupported, false, "", {}}).warning_message(),
              HasSubstr("x is not read by this version"));
  EXPECT_THAT((QuantSupport{"x", QuantState::experimental, false, "", {}}).warning_message(), HasSubstr("x is experimental"));
  EXPECT_EQ((QuantSupport{"x", QuantState::stable, true, "", {}}).warning_message(), "");
}

}  // namespace
}  // namespace gale
