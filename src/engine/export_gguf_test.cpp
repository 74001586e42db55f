#include "engine/export_gguf.h"

#include <gmock/gmock.h>

#include "base/cpu.h"
#include "base/threads.h"
#include "checkpoint/checkpoint.h"
#include "engine/test_engine.h"
#include "gale/error.h"
#include "kernels/cpu/kernels.h"
#include "quant/format.h"

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

// A weight that lost its scale is one tensor as a plain one is.
TEST(ExportGguf, LostScalesAreNotTakenForNone) {
  const auto original = Checkpoint::open(golden_path("llama_fp8"));
  std::vector<RawTensor> tensors = original->tensors();
  ASSERT_EQ(std::erase_if(tensors, [](const RawTensor& t) { return t.name == "model.layers.0.mlp.up_proj.weight_scale"; }), 1u);
  const auto checkpoint = Checkpoint::assemble("memory", original->config(), tensors);
  const TemporaryFolder folder;
  ThreadPool pool(1);
  try {
    export_gguf(*checkpoint, "f32", folder / "model.gguf", pool);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::corrupt);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("model.layers.0.mlp.up_proj.weight_scale"));
  }
}

// Blocks alone would have scales among the smallest that e4m3 has, where its steps are wide.
TEST(ExportGguf, Nvfp4HasTheScaleOfAWholeMatrixToo) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  for (const RandomShape& shape : {kTinyShape, kTinyMoeShape}) {
    const auto source = random_checkpoint(shape, "bf16", pool);
    export_gguf(*source, "bf16", folder / "m.gguf", pool);
    export_gguf(*source, "nvfp4", folder / "n.gguf", pool);
    EngineOptions options{.model = (folder / "n.gguf").string(), .threads = 2, .exact = true, .kv_bytes = 4 << 20};
    const auto written = Engine::open(options);
    options.model = (folder / "m.gguf").string();
    const auto plain = Engine::open(options);
    options.quant = "nvfp4";
    const auto loaded = Engine::open(options);
    EXPECT_EQ(written->logits({5, 6, 7}), loaded->logits({5, 6, 7})) << shape.name;
    for (const WeightInfo& w : loaded->weights()) {
      if (w.format != "nvfp4" || w.name.find("layers.") == std::string::npos) continue;
      const int64_t expert = w.experts > 0 ? 1 : 0;
      const std::vector<float> x = plain->weight_rows(w.name, 0, w.rows, expert),
                               got = loaded->weight_rows(w.name, 0, w.rows, expert);
      std::vector<std::byte> bytes(size_t(w.rows * row_bytes(TensorType::nvfp4, w.columns, w.name)));
      std::vector<float> alone(x.size());
      const Format& format = find_format("nvfp4");
      format.quantize(cpu_kernels(isa_to_run(detect_cpu())), x.data(), w.rows, w.columns, nullptr, bytes.data());
      RawTensor tensor;
      tensor.name = w.name, tensor.type = TensorType::nvfp4, tensor.shape = {w.rows, w.columns}, tensor.bytes = bytes;
      TensorGroup group;
      group.name = w.name;
      group.parts = {{"weight", &tensor}};
      format.dequantize(group, {0, w.rows, 0, w.columns}, alone.data());
      double both = 0, one = 0;
      for (size_t i = 0; i < x.size(); ++i)
        both += double(got[i] - x[i]) * double(got[i] - x[i]), one += double(alone[i] - x[i]) * double(alone[i] - x[i]);
      EXPECT_LT(both, 0.97 * one) << w.name;
    }
    const TensorGroup q = group_of(written->checkpoint(), "model.layers.0.self_attn.q_proj");
    ASSERT_NE(q.part("scale"), nullptr) << shape.name;
    EXPECT_EQ(group_of(written->checkpoint(), "model.embed_tokens").part("scale"), nullptr);
  }
}

}  // namespace
}  // namespace gale
