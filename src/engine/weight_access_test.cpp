#include "engine/weight_access.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <future>

#include "base/threads.h"
#include "engine/open_engine.h"
#include "engine/test_engine.h"
#include "gale/error.h"
#include "quant/format.h"

namespace gale {
namespace {

using namespace gale::testing;

EngineOptions options_of(const std::string& model, const std::string& quant = "") {
  EngineOptions out;
  out.model = model;
  out.threads = 2;
  out.quant = quant;
  out.kv_bytes = 4 << 20;
  return out;
}

// Dense and experts, plain and act-order, and re-quantized: always what the format says the values are.
TEST(WeightAccess, RowsAreTheValuesOfTheFile) {
  for (const char* name : {"llama_gptq", "qwen3_moe", "mixtral", "mixtral_fused", "mixtral_int4", "llama_nf4"}) {
    SCOPED_TRACE(name);
    const auto engine = Engine::open(options_of(golden_path(name).string()));
    const auto weights = engine->weights();
    ASSERT_GT(weights.size(), 5u);
    for (const WeightInfo& w : weights) {
      EXPECT_FALSE(engine->weight_parts(w.name).empty()) << w.name;
      for (int64_t e = 0; e < std::max<int64_t>(w.experts, 1); ++e) {
        TensorGroup group = group_of(engine->checkpoint(), w.name);
        const int64_t first = group.parts.empty() ? 0 : e * w.rows;  // in the fused tensor
        if (group.parts.empty()) {
          const size_t dot = w.name.rfind('.');
          group = group_of(engine->checkpoint(), w.name.substr(0, dot) + "." + std::to_string(e) + w.name.substr(dot));
        }
        ASSERT_FALSE(group.parts.empty()) << w.name;
        const Format& format = format_of(group);
        EXPECT_EQ(w.format, format.name) << w.name;
        std::vector<float> expected(size_t(w.rows * w.columns));
        format.dequantize(group, {first, w.rows, 0, w.columns}, expected.data());
        EXPECT_EQ(engine->weight_rows(w.name, 0, w.rows, e), expected) << w.name << " " << e;
      }
    }
    const WeightInfo& first = weights.front();
    EXPECT_THROW(engine->weight_rows("no.such", 0, 1), Error);
    EXPECT_THROW(engine->weight_rows(first.name, -1, 1), Error);
    EXPECT_THROW(engine->weight_rows(first.name, 0, first.rows + 1), Error);
    EXPECT_THROW(engine->weight_rows(first.name, 0, 1, 1), Error);
    EXPECT_THROW(engine->weight_parts("no.such"), Error);
  }
}

TEST(Requantize, GivesWhatALoadWithThatTypeGives) {
  ThreadPool pool(2);
  for (const RandomShape& shape : {kTinyShape, kTinyMoeShape}) {
    const auto source = random_checkpoint(shape, "bf16", pool);
    const std::vector<int32_t> prompt{1, 7, 3, 99, 42};
    const auto logits = [&](const std::string& quant) {
      return open_engine(options_of("under test", quant), source)->logits(prompt);
    };
    const auto engine = open_engine(options_of("under test"), source);
    const auto original = engine->logits(prompt);
    const int64_t bytes = engine->info().packed_bytes;
    engine->requantize("q4_k");
    EXPECT_EQ(engine->logits(prompt), logits("q4_k"));
    EXPECT_EQ(engine->info().quant, "q4_k");
    EXPECT_LT(engine->info().packed_bytes, bytes);
    EXPECT_EQ(engine->weights().back().format == "q4_k" || engine->weights().back().format == "q6_k", true);
    EXPECT_THROW(engine->requantize("q11"), Error);
    EXPECT_EQ(engine->info().quant, "q4_k");
    engine->requantize("");
    EXPECT_EQ(engine->logits(prompt), original);
    EXPECT_EQ(engine->info().packed_bytes, bytes);
  }
}

// The requests that run end with the weights they began with, those that come meanwhile have the new ones, and nobody is lost.
TEST(Requantize, WaitsForTheRequestsThatRun) {
  ThreadPool pool(2);
  const auto source = random_checkpoint(kTinyShape, "bf16", pool);
  const auto alone = [&](const std::string& quant, int64_t n) {
    return read_all(*open_engine(options_of("under test", quant), source)->submit(greedy({1, 2, 3}, n))).tokens;
  };
  const auto engine = open_engine(options_of("under test"), source);
  const auto running = engine->submit(greedy({1, 2, 3}, 300));
  ASSERT_TRUE(running->next().has_value());  // it runs
  auto change = std::async(std::launch::async, [&] { engine->requantize("q2_k_s"); });
  std::vector<std::unique_ptr<EventStream>> others;
  for (int i = 0; i < 20; ++i) others.push_back(engine->submit(greedy({1, 2, 3}, 10)));
  std::vector<int32_t> rest;
  while (const auto event = running->next())
    if (const auto* token = std::get_if<TokenEvent>(&*event)) rest.push_back(token->token);
  const auto whole = alone("", 300);
  EXPECT_EQ(rest, std::vector<int32_t>(whole.begin() + 1, whole.end()));
  for (auto& other : others) {
    const auto tokens = read_all(*other).tokens;
    EXPECT_TRUE(tokens == alone("", 10) || tokens == alone("q2_k_s", 10));
  }
  change.get();
  EXPECT_EQ(read_all(*engine->submit(greedy({1, 2, 3}, 10))).tokens, alone("q2_k_s", 10));
}

}  // namespace
}  // namespace gale
