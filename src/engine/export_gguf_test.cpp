#include "engine/export_gguf.h"

#include <gmock/gmock.h>

#include "base/json.h"
#include "base/threads.h"
#include "checkpoint/checkpoint.h"
#include "engine/test_engine.h"
#include "gale/error.h"

namespace gale {
namespace {

using namespace gale::testing;

// A scale beside a plain weight is part of it: leaving it out would write another model.
TEST(ExportGguf, PartsThatNoFormatReadsAreRefused) {
  const auto original = Checkpoint::open(golden_path("llama2"));
  std::vector<RawTensor> tensors = original->tensors();
  RawTensor scale = *original->find("model.norm.weight");
  scale.name = "model.layers.0.mlp.up_proj.weight_scale";
  tensors.push_back(scale);
  const auto checkpoint = Checkpoint::assemble("memory", original->config(), tensors);
  const TemporaryFolder folder;
  ThreadPool pool(1);
  try {
    export_gguf(*checkpoint, "f32", folder / "model.gguf", pool);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("model.layers.0.mlp.up_proj: no weight format reads its tensors"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "model.gguf"));
}

}  // namespace
}  // namespace gale
