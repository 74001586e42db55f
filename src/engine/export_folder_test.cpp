#include "engine/export_folder.h"

#include <gmock/gmock.h>

#include <cstring>
#include <fstream>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "base/threads.h"
#include "checkpoint/json_file.h"
#include "engine/export_gguf.h"
#include "engine/open_engine.h"
#include "engine/open_tokenizer.h"
#include "engine/pack_model.h"
#include "engine/test_engine.h"
#include "gale/error.h"
#include "quant/format.h"

namespace gale {
namespace {

using namespace gale::testing;
using ::testing::HasSubstr;

const std::string kDemo = std::string(GALE_SOURCE_DIR) + "/models/demo/gale-demo.gguf";

std::unique_ptr<Engine> engine_of(const std::shared_ptr<const Checkpoint>& checkpoint, bool exact = false,
                                  const std::string& quant = "") {
  EngineOptions options;
  options.model = "under test";
  options.threads = 2;
  options.context = 64;
  options.exact = exact;
  options.quant = quant;
  return open_engine(options, checkpoint);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// The packed model whose head and embedding are what a folder of that type has.
std::shared_ptr<const Checkpoint> packed_like(const std::shared_ptr<const Checkpoint>& source, const Format& format,
                                              const TemporaryFolder& folder, ThreadPool& pool) {
  const bool mlx = format.file_form == "afq", tied = source->find("lm_head.weight") == nullptr;
  const std::string head = mlx && format.file_bits < 6 ? "afq6" : mlx ? std::string(format.name) : "bf16";
  std::ofstream(folder / "pins.yaml") << "'/lm_head/': {quant: " << head
                                      << "}\n'/embed_tokens/': {quant: " << (mlx && !tied ? std::string(format.name) : head)
                                      << "}\n";
  QuantRecipe recipe(format.name);
  if (!format.file_form.empty()) recipe.topology = (folder / "pins.yaml").string();
  pack_checkpoint(source, "the source", recipe, folder / "m.gale", pool);
  return Checkpoint::open(folder / "m.gale");
}

std::vector<const Format*> filed_formats() {
  std::vector<const Format*> out;
  for (const Format* format : formats())
    if (!format->file_form.empty() || format->name == "bf16" || format->name == "f16" || format->name == "f32")
      out.push_back(format);
  return out;
}

// Every type that such a folder has a form for x every kind of layer: what is read from it is, bit by bit, what the packed file
// of the type has, weights and logits.
TEST(ExportFolder, EveryTypeIsReadBackAsThePackedModel) {
  ThreadPool pool(2);
  const std::vector<int32_t> ids = {1, 7, 3, 99, 42, 7};
  EXPECT_EQ(filed_formats().size(), 23u);
  for (const Format* format : filed_formats())
    for (const RandomShape& shape : {kTinyShape, kTinyMoeShape}) {
      SCOPED_TRACE(std::string(format->name) + " " + std::string(shape.name));
      const TemporaryFolder folder;
      const auto source = random_checkpoint(shape, "bf16", pool);
      const ExportReport report = export_folder(source, format->name, folder / "m", pool);
      EXPECT_EQ(report.note.find("stays"), std::string::npos) << report.note;
      const auto read = Checkpoint::open(folder / "m"), packed = packed_like(source, *format, folder, pool);
      for (const bool exact : {false, true})
        EXPECT_TRUE(same_bits(engine_of(read, exact)->logits(ids), engine_of(packed, exact)->logits(ids))) << "exact " << exact;
      const auto a = engine_of(read), b = engine_of(packed);
      for (const WeightInfo& w : a->weights())
        for (int64_t e = 0; e < std::max<int64_t>(w.experts, 1); ++e)
          EXPECT_TRUE(same_bits(a->weight_rows(w.name, 0, w.rows, e), b->weight_rows(w.name, 0, w.rows, e))) << w.name;
      if (!format->file_form.empty()) {
        const TensorGroup q = group_of(*read, "model.layers.1.self_attn.q_proj");
        EXPECT_EQ(format_of(q).name, format->file_form);
      }
    }
}

// The positive control of the test above.
TEST(ExportFolderControl, AnotherTypeGivesOtherLogits) {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const auto source = random_checkpoint(kTinyShape, "bf16", pool);
  export_folder(source, "nf4", folder / "m", pool);
  EXPECT_FALSE(same_bits(engine_of(Checkpoint::open(folder / "m"))->logits({1, 7, 3}),
                         engine_of(packed_like(source, find_format("fp4"), folder, pool))->logits({1, 7, 3})));
}

// From what is in the type already, packed or not, codes and scales are taken as they are.
TEST(ExportFolder, WhatHasTheTypeIsNotRoundedAgain) {
  ThreadPool pool(2);
  for (const char* type : {"nf4", "gptq4", "hqq3", "afq4", "int8", "fp8", "fp8_block"})
    for (const RandomShape& shape : {kTinyShape, kTinyMoeShape}) {
      SCOPED_TRACE(std::string(type) + " " + std::string(shape.name));
      const TemporaryFolder folder;
      const auto source = random_checkpoint(shape, "bf16", pool);
      pack_checkpoint(source, "the source", type, folder / "m.gale", pool);
      const auto packed = Checkpoint::open(folder / "m.gale");
      const ExportReport report = export_folder(packed, type, folder / "m", pool);
      if (!report.note.starts_with("lm_head is q6_k and becomes afq6:"))  // nothing else is
        EXPECT_EQ(report.note.find("loses twice"), std::string::npos) << report.note;
      const auto a = engine_of(Checkpoint::open(folder / "m")), b = engine_of(packed);
      int compared = 0;
      for (const WeightInfo& w : a->weights()) {
        if (w.name.find("layers.") == std::string::npos) continue;
        ++compared;
        for (int64_t e = 0; e < std::max<int64_t>(w.experts, 1); ++e)
          EXPECT_TRUE(same_bits(a->weight_rows(w.name, 0, w.rows, e), b->weight_rows(w.name, 0, w.rows, e))) << w.name;
      }
      EXPECT_GE(compared, 14);
    }
}

// Names, config and experts as the published models of a family have them.
TEST(ExportFolder, MixtralHasItsOwnNames) {
  ThreadPool pool(2);
  for (const char* name : {"mixtral", "mixtral_fused"}) {
    const TemporaryFolder folder;
    const auto source = Checkpoint::open(golden_path(name));
    export_folder(source, "bf16", folder / "m", pool);
    const auto again = Checkpoint::open(folder / "m");
    EXPECT_TRUE(same_bits(engine_of(again)->logits({1, 2, 3}), engine_of(source, false, "bf16")->logits({1, 2, 3}))) << name;
    const std::string file = read_text(folder / "m" / "model.safetensors");
    EXPECT_THAT(file, HasSubstr("model.layers.0.block_sparse_moe.experts.0.w1.weight"));
    EXPECT_THAT(file, HasSubstr("model.layers.0.block_sparse_moe.gate.weight"));
    EXPECT_FALSE(read_json(folder / "m" / "config.json").contains("quantization_config"));
  }
}

// A model of a GGUF with its tokenizer and its rows that are interleaved there.
TEST(ExportFolder, ADemoBecomesAFolderThatSpeaks) {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const auto source = Checkpoint::open(kDemo);
  const ExportReport report = export_folder(source, "nf4", folder / "m", pool);
  EXPECT_THAT(report.note, HasSubstr("loses twice"));
  const auto read = Checkpoint::open(folder / "m");
  EXPECT_TRUE(same_bits(engine_of(read)->logits({5, 6, 7, 8}),
                        engine_of(packed_like(source, find_format("nf4"), folder, pool))->logits({5, 6, 7, 8})));
  const auto a = open_tokenizer(*source), b = open_tokenizer(*read);
  ASSERT_TRUE(a && b);
  for (const char* text : {"Why is the sky blue?\n  It's 13 + 24.", "Gr\u00f6\u00dfe \u4f60\u597d", "<|im_end|> a </s>"})
    EXPECT_EQ(a->encode(text), b->encode(text)) << text;
  EXPECT_EQ(end_tokens(*source, a.get(), a->vocab_size()), end_tokens(*read, b.get(), b->vocab_size()));
  EXPECT_EQ(open_chat_template(*source) == nullptr, open_chat_template(*read) == nullptr);
  EXPECT_EQ(source->chat_template(), read->chat_template());
  const Json quantization = read_json(folder / "m" / "config.json").at("quantization_config");
  EXPECT_EQ(quantization.at("quant_method"), "bitsandbytes");
  EXPECT_EQ(quantization.at("bnb_4bit_quant_type"), "nf4");
}

TEST(ExportFolder, FilesOfAFolderComeAlong) {
  ThreadPool pool(1);
  const TemporaryFolder folder;
  std::filesystem::copy(golden_path("llama3"), folder / "source");
  std::ofstream(folder / "source" / "tokenizer_config.json") << R"({"chat_template": "T", "eos_token": "<e>"})";
  std::ofstream(folder / "source" / "merges.txt") << "a b\n";
  export_folder(Checkpoint::open(folder / "source"), "bf16", folder / "m", pool);
  for (const char* file : {"tokenizer_config.json", "merges.txt", "generation_config.json"})
    EXPECT_EQ(read_text(folder / "source" / file), read_text(folder / "m" / file)) << file;
  EXPECT_EQ(read_json(folder / "m" / "config.json"), read_json(folder / "source" / "config.json"));
}

// A GGUF has norms as f32; what they were is told by their bits.
TEST(ExportFolder, NormsOfAGgufAreWhatTheyWere) {
  ThreadPool pool(1);
  for (const char* name : {"mistral_nemo", "qwen3"}) {
    const TemporaryFolder folder;
    const auto source = Checkpoint::open(golden_path(name));
    export_gguf(*source, "q8_0", folder / "m.gguf", pool);
    const auto gguf = Checkpoint::open(folder / "m.gguf");
    ASSERT_EQ(gguf->find("model.norm.weight")->type, TensorType::f32);
    export_folder(gguf, "nf4", folder / "m", pool);
    const auto again = Checkpoint::open(folder / "m");
    for (const RawTensor& tensor : source->tensors()) {
      if (tensor.shape.rank() != 1) continue;
      const RawTensor* now = again->find(tensor.name);
      ASSERT_NE(now, nullptr) << tensor.name;
      EXPECT_EQ(now->type, TensorType::bf16) << tensor.name;
      EXPECT_TRUE(std::ranges::equal(now->bytes, tensor.bytes)) << tensor.name;
    }
  }
}

template <class F>
void expect_error(ErrorCode code, const std::string& says, F&& f) {
  try {
    f();
    ADD_FAILURE() << "no error, expected: " << says;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(says));
  }
}

TEST(ExportFolder, TypesWithoutAFormAreRefusedWithWhatComesNearest) {
  ThreadPool pool(1);
  const TemporaryFolder folder;
  const auto source = random_checkpoint(kTinyShape, "bf16", pool);
  const auto to = [&](const char* type) { return [&, type] { export_folder(source, type, folder / "m", pool); }; };
  expect_error(ErrorCode::unsupported, "q4_k is a type of GGUF", to("q4_k"));
  expect_error(ErrorCode::unsupported, "q4_k_m is a mix of types of GGUF", to("q4_k_m"));
  expect_error(ErrorCode::unsupported, "int8 to a folder or q8_0 as a GGUF", to("f8q8"));
  expect_error(ErrorCode::invalid_argument, "a folder needs a type", to(""));
  EXPECT_FALSE(std::filesystem::exists(folder / "m"));
  std::set<std::string_view> homeless;
  for (const Format* format : formats())
    if (format->quantize != nullptr && format->file_form.empty() && tensor_type_info(format->stored).ggml < 0)
      homeless.insert(format->name);
  EXPECT_EQ(homeless, (std::set<std::string_view>{"f8q8"})) << "docs/formats.md lists them";
}

// Half-written is not written.
TEST(ExportFolder, WhatFailsLeavesNothing) {
  ThreadPool pool(1);
  const TemporaryFolder folder;
  const auto source = random_checkpoint(kTinyShape, "bf16", pool);
  std::vector<RawTensor> tensors = source->tensors();
  const std::vector<uint16_t> bad(256 * 256, 0x7fc0);
  for (RawTensor& t : tensors)
    if (t.name == "model.layers.1.mlp.down_proj.weight") t.bytes = std::as_bytes(std::span(bad));
  const auto damaged = Checkpoint::assemble("memory", source->config(), tensors);
  expect_error(ErrorCode::corrupt, "model.layers.1.mlp.down_proj, rows 0 to 15, cannot become nf4",
               [&] { export_folder(damaged, "nf4", folder / "out", pool); });
  EXPECT_TRUE(std::filesystem::is_empty(folder / ""));
}

// What a form has no place for stays as it is, in the config too, and is said once.
TEST(ExportFolder, ColumnsThatDoNotFitStayFloats) {
  ThreadPool pool(1);
  const TemporaryFolder folder;
  RandomShape shape = kTinyShape;
  shape.hidden = 192, shape.heads = 3, shape.kv_heads = 1;  // of 128 only the inputs of down_proj are a multiple
  const auto source = random_checkpoint(shape, "bf16", pool);
  const ExportReport report = export_folder(source, "gptq4", folder / "m", pool);
  EXPECT_THAT(report.note, HasSubstr("model.layers.0.self_attn.q_proj stays bf16"));
  const auto read = Checkpoint::open(folder / "m");
  EXPECT_EQ(format_of(group_of(*read, "model.layers.0.mlp.down_proj")).name, "gptq");
  EXPECT_EQ(format_of(group_of(*read, "model.layers.0.mlp.up_proj")).name, "bf16");
  EXPECT_TRUE(read_json(folder / "m" / "config.json")
                  .at("quantization_config")
                  .at("dynamic")
                  .contains("-:^model\\.layers\\.0\\.mlp\\.up_proj$"));
  const auto a = engine_of(read), b = engine_of(source, false, "gptq4");
  EXPECT_TRUE(
      same_bits(a->weight_rows("model.layers.0.mlp.down_proj", 0, 192), b->weight_rows("model.layers.0.mlp.down_proj", 0, 192)));
  shape.intermediate = 192;
  expect_error(ErrorCode::unsupported, "none of its matrices can be gptq4",
               [&] { export_folder(random_checkpoint(shape, "bf16", pool), "gptq4", folder / "n", pool); });
}

}  // namespace
}  // namespace gale
