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
  for (const char* part : {".weight_scale", ".input_scale", ".a_format_of_next_year"})
    EXPECT_THAT(refusal(ErrorCode::unsupported, "llama2",
                        [&](auto&, auto& tensors) { add_copy(tensors, "model.norm.weight", q + part); }),
                AllOf(HasSubstr(q), HasSubstr(part + 1)));
  EXPECT_THAT(refusal(ErrorCode::corrupt, "llama2",
                      [&](auto&, auto& tensors) { add_copy(tensors, "model.norm.weight", q + ".weight.absmax"); }),
              AllOf(HasSubstr(q), HasSubstr("quant_state")));
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

TEST(LlamaConfig, NonsenseIsRefusedByName) {
  const auto says = [](const char* key, const Json& value, const std::string& part) {
    EXPECT_THAT(refusal(ErrorCode::corrupt, "llama3", [&](Json& c, auto&) { c[key] = value; }),
                AllOf(HasSubstr("somewhere/llama3"), HasSubstr(part)))
        << key << " " << value;
  };
  for (const Json& eps : {Json(-1e-6), Json(2), Json("1e-6")}) says("rms_norm_eps", eps, "\"rms_norm_eps\" is " + eps.dump());
  EXPECT_EQ(refusal(ErrorCode::corrupt, "llama3", [](Json& c, auto&) { c["rms_norm_eps"] = 0; }), "");
  for (const Json& theta : {Json(0), Json(-1e4), Json(1e-300), Json(1e300), Json("x")})
    says("rope_theta", theta, "\"rope_theta\"");
  says("rope_scaling", {{"rope_type", "linear"}, {"factor", 1e-300}}, "factor");
  says("rope_scaling", {{"rope_type", "linear"}, {"factor", 1e300}}, "\"rope_theta\" 500000 and its scaling");
  says("num_attention_heads", 1 << 30, "");
  for (const Json& layers : {Json(0), Json(-1), Json(65537), Json(1 << 30), Json(UINT64_MAX), Json(2.5)})
    says("num_hidden_layers", layers,
         "\"num_hidden_layers\" is " + layers.dump() + ", but it must be an integer from 1 to 65536");
}

// A few kilobytes of config must not cost the memory or the text of what they ask for.
TEST(LlamaWeights, ManyMissingLayersAreOneLine) {
  const std::string text = refusal(ErrorCode::corrupt, "llama2", [](Json& c, auto&) { c["num_hidden_layers"] = 65536; });
  EXPECT_THAT(text, HasSubstr("1 tensor(s) do not fit"));
  EXPECT_THAT(text, HasSubstr("model.layers.2, the first of 65534 layers, is missing"));
  const std::string many = refusal(ErrorCode::corrupt, "llama2", [](Json& c, auto&) { c["hidden_size"] = 1000; });
  EXPECT_THAT(many, AllOf(HasSubstr("model.embed_tokens is ["), HasSubstr("and 11 more")));
  EXPECT_LT(many.size(), 2000u);
}

// Kernels trust the shapes: each side of each matrix is what the config says, or the model is refused.
TEST(LlamaWeights, EveryMatrixHasBothItsSides) {
  const auto original = Checkpoint::open(std::filesystem::path(GALE_SOURCE_DIR) / "tests/golden/data/qwen2");
  for (const RawTensor& one : original->tensors()) {
    if (one.name.find("layers.1.") == std::string::npos) continue;
    for (int side = 0; side < one.shape.rank(); ++side)
      EXPECT_THAT(refusal(ErrorCode::corrupt, "qwen2",
                          [&](auto&, auto& tensors) {
                            RawTensor& t = *std::ranges::find(tensors, one.name, &RawTensor::name);
                            t.shape = one.shape.rank() == 1 ? Shape{one.shape[0] / 2}
                                      : side == 0           ? Shape{one.shape[0] / 2, one.shape[1]}
                                                            : Shape{one.shape[0], one.shape[1] / 2};
                            t.bytes = t.bytes.first(t.bytes.size() / 2);
                          }),
                  HasSubstr(one.name.substr(0, one.name.rfind('.'))))
          << side;
  }
}

}  // namespace
}  // namespace gale
