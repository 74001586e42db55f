#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "base/fail.h"
#include "base/json.h"
#include "base/threads.h"
#include "checkpoint/checkpoint.h"
#include "models/model.h"

// What a config or a checkpoint may not say: refused at load, by name.
namespace gale {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Edit = std::function<void(Json& config, std::vector<RawTensor>& tensors)>;

/// A golden case that `edit` has changed, loaded without reading a weight.
std::unique_ptr<Model> load(const std::string& name, const Edit& edit) {
  const auto original = Checkpoint::open(std::filesystem::path(GALE_SOURCE_DIR) / "tests/golden/data" / name);
  Json config = original->config();
  std::vector<RawTensor> tensors = original->tensors();
  edit(config, tensors);
  const auto checkpoint = Checkpoint::assemble("somewhere/" + name, config, std::move(tensors));
  ThreadPool pool(1);
  Loader loader(checkpoint, pool, {.requantize = {}, .shape_only = true, .progress = {}});
  auto model = find_architecture(checkpoint->architecture())
                   .build(Config(checkpoint->config(), checkpoint->config_source()), Weights(loader));
  loader.finish();
  return model;
}

/// The message of the Error that loading throws, "" where it throws none.
std::string refusal(ErrorCode code, const std::string& name, const Edit& edit) {
  try {
    load(name, edit);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "";
}

TEST(LlamaConfig, OnlySiluIsComputed) {
  for (const char* known : {"silu", "swish"})
    EXPECT_EQ(refusal(ErrorCode::unsupported, "llama2", [&](Json& c, auto&) { c["hidden_act"] = known; }), "");
  EXPECT_EQ(refusal(ErrorCode::unsupported, "llama2", [](Json& c, auto&) { c.erase("hidden_act"); }), "");
  for (const char* name : {"llama2", "mistral", "qwen2", "qwen3"})
    EXPECT_THAT(
        refusal(ErrorCode::unsupported, name, [](Json& c, auto&) { c["hidden_act"] = "gelu"; }),
        AllOf(HasSubstr(std::string("somewhere/") + name), HasSubstr("\"hidden_act\" is \"gelu\""), HasSubstr("silu, swish")));
}

/// A copy of `from` under another name.
void add_copy(std::vector<RawTensor>& tensors, const std::string& from, const std::string& name) {
  RawTensor copy = *std::ranges::find(tensors, from, &RawTensor::name);
  copy.name = name;
  tensors.push_back(std::move(copy));
}

// A part that no format reads would change the weight's values, if somebody understood it.
TEST(LlamaWeights, PartsThatNoFormatReadsAreRefused) {
  const std::string q = "model.layers.1.self_attn.q_proj";
  for (const char* part : {".weight_scale", ".input_scale", ".weight.absmax", ".a_format_of_next_year"})
    EXPECT_THAT(refusal(ErrorCode::unsupported, "llama2",
                        [&](auto&, auto& tensors) { add_copy(tensors, "model.norm.weight", q + part); }),
                AllOf(HasSubstr(q), HasSubstr(part + 1)));
  EXPECT_THAT(refusal(ErrorCode::unsupported, "llama2",
                      [](auto&, auto& tensors) { add_copy(tensors, "model.norm.weight", "lm_head.weight_scale"); }),
              HasSubstr("lm_head: no weight format reads its tensors (weight f32"));
  // A bias is the Linear's own, and a neighbour whose name goes on is no part.
  EXPECT_EQ(
      refusal(ErrorCode::corrupt, "llama2", [&](auto&, auto& tensors) { add_copy(tensors, "model.norm.weight", q + ".bias"); }),
      "");
  EXPECT_EQ(
      refusal(ErrorCode::corrupt, "llama2", [&](auto&, auto& tensors) { add_copy(tensors, "model.norm.weight", q + "2.x"); }),
      "");
}

}  // namespace
}  // namespace gale
