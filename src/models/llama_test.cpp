#include <gmock/gmock.h>

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

/// A golden case whose config `edit` has changed, loaded without reading a weight.
std::unique_ptr<Model> load(const std::string& name, const std::function<void(Json&)>& edit) {
  const auto original = Checkpoint::open(std::filesystem::path(GALE_SOURCE_DIR) / "tests/golden/data" / name);
  Json config = original->config();
  edit(config);
  const auto checkpoint = Checkpoint::assemble("somewhere/" + name, config, original->tensors());
  ThreadPool pool(1);
  Loader loader(checkpoint, pool, {.requantize = {}, .shape_only = true, .progress = {}});
  auto model = find_architecture(checkpoint->architecture())
                   .build(Config(checkpoint->config(), checkpoint->config_source()), Weights(loader));
  loader.finish();
  return model;
}

/// The message of the Error that loading throws, "" where it throws none.
std::string refusal(ErrorCode code, const std::string& name, const std::function<void(Json&)>& edit) {
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
    EXPECT_EQ(refusal(ErrorCode::unsupported, "llama2", [&](Json& c) { c["hidden_act"] = known; }), "");
  EXPECT_EQ(refusal(ErrorCode::unsupported, "llama2", [](Json& c) { c.erase("hidden_act"); }), "");
  for (const char* name : {"llama2", "mistral", "qwen2", "qwen3"})
    EXPECT_THAT(
        refusal(ErrorCode::unsupported, name, [](Json& c) { c["hidden_act"] = "gelu"; }),
        AllOf(HasSubstr(std::string("somewhere/") + name), HasSubstr("\"hidden_act\" is \"gelu\""), HasSubstr("silu, swish")));
}

}  // namespace
}  // namespace gale
