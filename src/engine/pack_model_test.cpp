#include "engine/pack_model.h"

#include <gmock/gmock.h>

#include <cstring>
#include <fstream>

#include "base/json.h"
#include "base/mmap.h"
#include "base/threads.h"
#include "checkpoint/packed_file.h"
#include "engine/open_engine.h"
#include "engine/runtime.h"
#include "engine/template_sources.h"
#include "engine/test_engine.h"
#include "gale/error.h"
#include "quant/format.h"

namespace gale {
namespace {

using namespace gale::testing;
using ::testing::HasSubstr;

std::vector<float> logits_of(const std::shared_ptr<const Checkpoint>& checkpoint, const std::string& quant, bool exact) {
  EngineOptions options;
  options.model = "under test";
  options.threads = 2;
  options.quant = quant;
  options.exact = exact;
  options.context = 64;
  return open_engine(options, checkpoint)->logits({1, 7, 3, 99, 42, 7});
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// What the packed file gives is, bit by bit, what the source gives with that --quant, and its load is as large.
void expect_the_same(const std::shared_ptr<const Checkpoint>& source, const std::string& type) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  const ExportReport report = pack_checkpoint(source, "the source", type, folder / "m.gale", pool);
  const auto packed = Checkpoint::open(folder / "m.gale");
  for (const bool exact : {false, true})
    EXPECT_TRUE(same_bits(logits_of(packed, "", exact), logits_of(source, type, exact))) << type << " exact " << exact;
  verify_packed(*packed);
  EngineOptions options;
  options.model = "under test";
  options.threads = 1;
  options.context = 64;
  const int64_t bytes = load_runtime(options, packed).info.packed_bytes;
  EXPECT_EQ(predict_load(options, packed).info.packed_bytes, bytes);
  EXPECT_EQ(bytes, report.bytes);
  options.quant = type;
  EXPECT_EQ(predict_load(options, source).info.packed_bytes, bytes);
}

TEST(PackModel, KeepsNamedTemplates) {
  const TemporaryFolder folder;
  std::filesystem::copy(golden_path("llama3"), folder / "m");
  std::ofstream(folder / "m" / "tokenizer_config.json")
      << R"({"chat_template": [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]})";
  ThreadPool pool(1);
  pack_checkpoint(Checkpoint::open(folder / "m"), "the source", "", folder / "m.gale", pool);
  std::vector<std::string> names;
  for (const NamedTemplate& t : template_sources(*Checkpoint::open(folder / "m.gale"))) names.push_back(t.name + "=" + t.source);
  EXPECT_EQ(names, (std::vector<std::string>{"default=D", "tool_use=T"}));
}

TEST(PackModel, EveryFormatGivesTheSameBits) {
  ThreadPool pool(1);
  for (const Format* format : formats())
    if (format->quantize != nullptr)
      for (const RandomShape& shape : {kTinyShape, kTinyMoeShape}) {
        SCOPED_TRACE(std::string(format->name) + " " + std::string(shape.name));
        expect_the_same(random_checkpoint(shape, format->name, pool), "");
      }
}

TEST(PackModel, QuantizesWhilePackingAsWhileLoading) {
  ThreadPool pool(1);
  for (const RandomShape& shape : {kTinyShape, kTinyMoeShape}) expect_the_same(random_checkpoint(shape, "f32", pool), "q4_k_m");
}

class PackGolden : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Cases, PackGolden,
                         ::testing::Values("llama2", "llama3", "llama_bias", "mistral", "mixtral", "mixtral_fused", "qwen2",
                                           "qwen3_moe", "qwen3_moe_norm"));
TEST_P(PackGolden, GivesTheSameBits) { expect_the_same(Checkpoint::open(golden_path(GetParam())), ""); }

// Rows that a GGUF interleaves, and its tokenizer.
TEST(PackModel, AGgufGivesTheSameBitsAndTheSameText) {
  const TemporaryFolder folder;
  const std::string demo = std::string(GALE_SOURCE_DIR) + "/models/demo/gale-demo.gguf";
  const auto source = Checkpoint::open(demo);
  expect_the_same(source, "");
  expect_the_same(source, "q4_k_m");
  pack_model(demo, "", folder / "m.gale", 2);
  EngineOptions options;
  options.context = 256;
  options.threads = 2;
  options.model = demo;
  const auto a = Engine::open(options);
  options.model = folder / "m.gale";
  const auto b = Engine::open(options);
  ASSERT_NE(b->tokenizer(), nullptr);
  ASSERT_NE(b->chat_template(), nullptr);
  EXPECT_EQ(a->info().end_tokens, b->info().end_tokens);
  const std::string text = "Why is the sky blue?\n  It's 13 + 24.";
  EXPECT_EQ(a->tokenizer()->encode(text), b->tokenizer()->encode(text));
  EXPECT_EQ(read_all(*a->submit(greedy({5, 6, 7}, 20))), read_all(*b->submit(greedy({5, 6, 7}, 20))));
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

/// The tensors of two files are the same, byte for byte.
void expect_same_tensors(const std::filesystem::path& a, const std::filesystem::path& b) {
  const auto left = Checkpoint::open(a), right = Checkpoint::open(b);
  EXPECT_EQ(left->tensors().size(), right->tensors().size());
  for (const RawTensor& want : right->tensors()) {
    const RawTensor* got = left->find(want.name);
    ASSERT_NE(got, nullptr) << want.name;
    EXPECT_EQ(got->type, want.type) << want.name;
    EXPECT_TRUE(std::ranges::equal(got->bytes, want.bytes)) << want.name;
  }
}

// The packed form is lossless: what it becomes, loaded, packed again or as a GGUF, is what its source becomes, byte for byte. And
// it is said that it was rounded twice.
TEST(PackModel, WhatIsPackedBecomesWhatItsSourceDoes) {
  ThreadPool pool(2);
  for (const char* type : {"f32", "q8_0", "q4_k", "iq3_s", "nf4", "afq4", "hqq3", "fp8_block", "gptq4", "nvfp4"})
    for (const RandomShape& shape : {kTinyShape, kTinyMoeShape}) {
      SCOPED_TRACE(std::string(type) + " " + std::string(shape.name));
      const TemporaryFolder folder;
      const auto source = random_checkpoint(shape, type, pool);
      pack_checkpoint(source, "the source", "", folder / "m.gale", pool);
      const auto packed = Checkpoint::open(folder / "m.gale");
      EXPECT_TRUE(same_bits(logits_of(packed, "q5_k_m", false), logits_of(source, "q5_k_m", false)));
      const ExportReport report = export_gguf(*packed, "q4_0", folder / "a.gguf", pool);
      export_gguf(*source, "q4_0", folder / "b.gguf", pool);
      expect_same_tensors(folder / "a.gguf", folder / "b.gguf");
      const ExportReport again = pack_checkpoint(packed, "m", "q4_k", folder / "n.gale", pool);
      EXPECT_TRUE(same_bits(logits_of(Checkpoint::open(folder / "n.gale"), "", false), logits_of(source, "q4_k", false)));
      for (const ExportReport* r : {&report, &again}) {
        const size_t at = r->note.find("loses twice");
        const bool was_rounded = std::string_view(type) != "f32" && !(r == &again && std::string_view(type) == "q4_k");
        EXPECT_EQ(at != std::string::npos, was_rounded) << r->note;
        EXPECT_EQ(r->note.find("loses twice", at + 1), std::string::npos) << "said once: " << r->note;
      }
      expect_error(ErrorCode::invalid_argument, "is packed already; name a type",
                   [&] { pack_checkpoint(packed, "x", "", folder / "o.gale", pool); });
      EXPECT_FALSE(std::filesystem::exists(folder / "o.gale"));
    }
}

// Tensors whose type stays are not rounded again: the blocks of the GGUF are those of the source, byte for byte, and nothing is
// said of rounding twice. But q8_1, in whose blocks lies a sum that nobody reads.
TEST(PackModel, TypesThatStayAreCopied) {
  ThreadPool pool(2);
  for (const Format* format : formats()) {
    if (format->join == nullptr || format->randomize == nullptr) continue;
    for (const RandomShape& shape : {kTinyShape, kTinyMoeShape}) {
      SCOPED_TRACE(std::string(format->name) + " " + std::string(shape.name));
      const TemporaryFolder folder;
      const auto source = random_checkpoint(shape, format->name, pool);
      pack_checkpoint(source, "the source", "", folder / "m.gale", pool);
      const ExportReport report = export_gguf(*Checkpoint::open(folder / "m.gale"), format->name, folder / "a.gguf", pool);
      export_gguf(*source, format->name, folder / "b.gguf", pool);
      EXPECT_EQ(report.note.find("loses twice"), std::string::npos) << report.note;
      if (format->name == "tq1_0" || format->name == "q8_1")  // random bytes that no quantizer writes
        EXPECT_TRUE(same_bits(logits_of(Checkpoint::open(folder / "a.gguf"), "", true), logits_of(source, "", true)));
      else
        expect_same_tensors(folder / "a.gguf", folder / "b.gguf");
    }
  }
}

// A scale of a whole matrix too.
TEST(PackModel, Nvfp4StaysWithItsScales) {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  for (const RandomShape& shape : {kTinyShape, kTinyMoeShape}) {
    const auto source = random_checkpoint(shape, "bf16", pool);
    export_gguf(*source, "nvfp4", folder / "a.gguf", pool);
    pack_checkpoint(Checkpoint::open(folder / "a.gguf"), "a", "", folder / "m.gale", pool);
    export_gguf(*Checkpoint::open(folder / "m.gale"), "nvfp4", folder / "b.gguf", pool);
    expect_same_tensors(folder / "b.gguf", folder / "a.gguf");
  }
}

// A tokenizer and metadata come along, and the types that a topology does not pin.
TEST(PackModel, APackedDemoBecomesAGguf) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  const std::string demo = std::string(GALE_SOURCE_DIR) + "/models/demo/gale-demo.gguf";
  pack_model(demo, "", folder / "m.gale", 2);
  quantize_model((folder / "m.gale").string(), "q4_k_m", folder / "a.gguf", 2);
  quantize_model(demo, "q4_k_m", folder / "b.gguf", 2);
  expect_same_tensors(folder / "a.gguf", folder / "b.gguf");
  EXPECT_EQ(Checkpoint::open(folder / "a.gguf")->config(), Checkpoint::open(folder / "b.gguf")->config());
  EXPECT_TRUE(Checkpoint::open(folder / "a.gguf")->chat_template());
  std::ofstream(folder / "pins.yaml") << "0: {quant: q6_k}\n";
  QuantRecipe pins;
  pins.topology = (folder / "pins.yaml").string();
  export_gguf(*Checkpoint::open(folder / "m.gale"), pins, folder / "c.gguf", pool);
  const auto pinned = Checkpoint::open(folder / "c.gguf");
  EXPECT_EQ(pinned->find("model.layers.0.self_attn.q_proj.weight")->type, TensorType::q6_k);
  EXPECT_EQ(pinned->find("model.layers.1.self_attn.q_proj.weight")->type, TensorType::q8_0);
  EXPECT_EQ(pinned->find("model.norm.weight")->type, TensorType::f32);
}

TEST(PackModel, AnEngineOfAPackedFileChangesItsTypeAndBack) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  const auto source = random_checkpoint(kTinyMoeShape, "q8_0", pool);
  pack_checkpoint(source, "the source", "", folder / "m.gale", pool);
  EngineOptions options;
  options.model = (folder / "m.gale").string();
  options.threads = 2;
  options.context = 64;
  const auto engine = Engine::open(options);
  const std::vector<int32_t> ids = {1, 7, 3, 99, 42, 7};
  const std::vector<float> before = engine->logits(ids);
  engine->requantize("q4_k");
  EXPECT_TRUE(same_bits(engine->logits(ids), logits_of(source, "q4_k", false)));
  engine->requantize("");
  EXPECT_TRUE(same_bits(engine->logits(ids), before));
}

TEST(PackModel, AnotherArrangementIsRefused) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  pack_checkpoint(random_checkpoint(kTinyShape, "q8_0", pool), "the source", "", folder / "m.gale", pool);
  const auto file = MappedFile::open(folder / "m.gale");
  std::string text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  const size_t index = text.find("{\"model\""), hash = text.find("\"u8 g32 f16\":\"", index) + 14;
  text[hash] = text[hash] == '0' ? '1' : '0';
  const auto bytes = std::as_bytes(std::span(text));
  const auto preamble = packed_preamble(bytes.subspan(index), text.size());
  std::memcpy(text.data(), preamble.data(), preamble.size());
  AtomicFile other(folder / "other.gale");
  other.write(text);
  other.commit();
  const auto packed = Checkpoint::open(folder / "other.gale");
  expect_error(ErrorCode::unsupported, "u8 g32 f16 matrices are arranged as another version of Gale did",
               [&] { logits_of(packed, "", false); });
}

}  // namespace
}  // namespace gale
