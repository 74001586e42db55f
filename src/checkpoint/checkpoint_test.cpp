#include "checkpoint/checkpoint.h"

#include <gmock/gmock.h>

#include "base/json.h"
#include "checkpoint/gguf.h"
#include "checkpoint/test_files.h"

namespace gale {
namespace {

using test::expect_error;
using test::safetensors_bytes;

const std::string kWeights = safetensors_bytes(
    R"({"model.embed_tokens.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"lm_head.weight":{"dtype":"U8","shape":[4],"data_offsets":[8,12]}})",
    "abcdefghijkl");

void expect_open_error(const std::filesystem::path& path, ErrorCode code, std::string_view part) {
  expect_error(code, part, [&] { Checkpoint::open(path); });
}

TEST(CheckpointOpen, Directory) {
  test::TempDir dir;
  dir.write("model.safetensors", kWeights);
  dir.write("config.json",
            R"({"architectures":["LlamaForCausalLM"],"rope_parameters":{"rope_type":"default","rope_theta":7.0}})");
  dir.write("generation_config.json", R"({"eos_token_id":[1,2]})");
  dir.write("tokenizer.json", "{}");
  dir.write("tokenizer_config.json", R"({"bos_token":{"content":"<s>","lstrip":false},"eos_token":"</s>","chat_template":"T"})");
  const auto checkpoint = Checkpoint::open(dir.path());
  EXPECT_EQ(checkpoint->path(), dir.path());
  EXPECT_EQ(checkpoint->architecture(), "LlamaForCausalLM");
  EXPECT_EQ(checkpoint->config()["rope_theta"], 7.0);
  EXPECT_EQ(checkpoint->config()["rope_scaling"], nullptr);
  EXPECT_EQ(checkpoint->generation_config()["eos_token_id"][1], 2);
  EXPECT_EQ(checkpoint->tokenizer_json(), "{}");
  EXPECT_EQ(checkpoint->chat_template(), "T");
  EXPECT_EQ(checkpoint->bos_token(), "<s>");
  EXPECT_EQ(checkpoint->eos_token(), "</s>");
  dir.write("special_tokens_map.json", R"({"bos_token":"<other>","pad_token":{"content":"<pad>"}})");
  const auto mapped = Checkpoint::open(dir.path());
  EXPECT_EQ(mapped->bos_token(), "<s>") << "tokenizer_config.json comes first";
  EXPECT_EQ(mapped->tokenizer_config()["pad_token"]["content"], "<pad>");
  EXPECT_EQ(checkpoint->gguf(), nullptr);
  ASSERT_TRUE(checkpoint->find("lm_head.weight"));
  EXPECT_EQ(char(checkpoint->find("lm_head.weight")->bytes[0]), 'i');
  EXPECT_EQ(checkpoint->find("lm_head"), nullptr);
  EXPECT_EQ(Checkpoint::open(dir / "model.safetensors")->tensors().size(), 2u);
  EXPECT_EQ(Checkpoint::open(dir / "config.json")->tensors().size(), 2u);
}

TEST(CheckpointOpen, TensorsOutliveIt) {
  test::TempDir dir;
  dir.write("model.safetensors", kWeights);
  dir.write("config.json", "{}");
  const RawTensor tensor = *Checkpoint::open(dir.path())->find("lm_head.weight");
  EXPECT_EQ(char(tensor.bytes[3]), 'l');
}

TEST(CheckpointOpen, Templates) {
  test::TempDir dir;
  dir.write("model.safetensors", kWeights);
  dir.write("config.json", "{}");
  EXPECT_EQ(Checkpoint::open(dir.path())->chat_template(), std::nullopt);
  EXPECT_EQ(Checkpoint::open(dir.path())->bos_token(), "");
  dir.write("tokenizer_config.json",
            R"({"chat_template":[{"name":7},{"name":"rag","template":"R"},{"name":"default","template":"D"}]})");
  EXPECT_EQ(Checkpoint::open(dir.path())->chat_template(), "D");
  dir.write("chat_template.jinja", "J");
  EXPECT_EQ(Checkpoint::open(dir.path())->chat_template(), "J");
}

TEST(CheckpointOpen, ShardsWithAndWithoutIndex) {
  test::TempDir dir;
  dir.write("config.json", "{}");
  dir.write("model-00001-of-00002.safetensors",
            safetensors_bytes(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "a"));
  expect_open_error(dir.path(), ErrorCode::not_found, "no complete numbered set");
  dir.write("model-00002-of-00002.safetensors",
            safetensors_bytes(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "b"));
  EXPECT_EQ(Checkpoint::open(dir.path())->tensors().size(), 2u);
  dir.write("model.safetensors.index.json", R"({"weight_map":{"a":"model-00001-of-00002.safetensors","b":"gone.safetensors"}})");
  expect_open_error(dir.path(), ErrorCode::not_found, "gone.safetensors is missing");
}

TEST(CheckpointOpen, NothingThere) {
  test::TempDir dir;
  expect_open_error(dir / "nowhere", ErrorCode::not_found, "nowhere does not exist; a model is a folder with config.json");
  expect_open_error(dir.path(), ErrorCode::not_found,
                    "looked for model.safetensors, model.safetensors.index.json, *.safetensors, *.uqff and *.gguf");
  expect_open_error(dir.path(), ErrorCode::not_found, "the folder is empty");
  dir.write("readme.txt", "");
  expect_open_error(dir.path(), ErrorCode::not_found, "the folder has readme.txt");
  expect_open_error(dir / "readme.txt", ErrorCode::unsupported, "neither a folder nor");
  dir.write("pytorch_model.bin", "");
  expect_open_error(dir.path(), ErrorCode::unsupported, "only pickled weights (pytorch_model.bin)");
  dir.write("model.safetensors", kWeights);
  expect_open_error(dir.path(), ErrorCode::not_found, "no config.json");
}

TEST(CheckpointOpen, BadConfigs) {
  test::TempDir dir;
  dir.write("model.safetensors", kWeights);
  dir.write("config.json", "{\n  \"a\": 1,\n  \"b\": }\n");
  expect_open_error(dir.path(), ErrorCode::corrupt, "config.json: line 3, column 8: ");
  dir.write("config.json", "");
  expect_open_error(dir.path(), ErrorCode::corrupt, "config.json: line 1, column 1: ");
  dir.write("config.json", "{\"rope_theta\": 1e999}");
  expect_open_error(dir.path(), ErrorCode::corrupt, "config.json: number overflow parsing '1e999'");
  dir.write("config.json", "[1]");
  expect_open_error(dir.path(), ErrorCode::corrupt, "holds a JSON array, expected an object");
  dir.write("config.json", "{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}");
  expect_open_error(dir.path(), ErrorCode::corrupt, "nested deeper than 64");
  dir.write("config.json", "{\"architectures\":\"x\"}");
  EXPECT_EQ(Checkpoint::open(dir.path())->architecture(), "");
}

TEST(CheckpointOpen, Gguf) {
  test::TempDir dir;
  std::filesystem::copy_file(GALE_SOURCE_DIR "/src/checkpoint/testdata/python_writer.gguf", dir / "a.gguf");
  dir.write("mmproj-a.gguf", "");
  for (const auto& path : {dir.path(), dir / "a.gguf"}) {
    const auto checkpoint = Checkpoint::open(path);
    EXPECT_EQ(checkpoint->architecture(), "LlamaForCausalLM");
    ASSERT_TRUE(checkpoint->gguf());
    EXPECT_EQ(checkpoint->bos_token(), "<s>");
    EXPECT_EQ(checkpoint->eos_token(), "</s>");
    EXPECT_EQ(checkpoint->chat_template(), "{{ messages }}");
    EXPECT_EQ(checkpoint->tokenizer_json(), std::nullopt);
    EXPECT_EQ(checkpoint->generation_config(), Json({{"bos_token_id", 0}, {"eos_token_id", 1}}));
    EXPECT_EQ(checkpoint->find("model.layers.0.self_attn.q_proj.weight")->interleaved_heads, 4);
  }
  std::filesystem::copy_file(dir / "a.gguf", dir / "b.gguf");
  expect_open_error(dir.path(), ErrorCode::invalid_argument, "holds 2 models, name one of them: a.gguf, b.gguf");
}

std::shared_ptr<const Checkpoint> with_tensors(std::initializer_list<std::pair<const char*, int64_t>> names) {
  std::vector<RawTensor> tensors;
  static const std::vector<std::byte> zeros(4096);
  for (const auto& [name, elements] : names) {
    RawTensor tensor;
    tensor.name = name;
    tensor.type = TensorType::bf16;
    tensor.shape = {elements};
    tensor.bytes = std::span(zeros).first(size_t(elements) * 2);
    tensors.push_back(std::move(tensor));
  }
  return Checkpoint::assemble("memory", Json::object(), std::move(tensors));
}

TEST(CheckpointAssemble, NamesAreUnique) {
  expect_error(ErrorCode::corrupt, "both named a", [] { with_tensors({{"a", 1}, {"a", 1}}); });
  EXPECT_EQ(with_tensors({{"a", 1}})->path(), "memory");
}

TEST(CheckpointSizes, CountsEveryTensorOnce) {
  const auto checkpoint = with_tensors({{"model.embed_tokens.weight", 100},
                                        {"model.layers.10.self_attn.qkv_proj.weight", 7},
                                        {"model.layers.2.mlp.experts.gate_proj.weight", 50},
                                        {"model.layers.2.mlp.experts.3.up_proj.weight", 11},
                                        {"model.layers.2.self_attn.q_proj.bias", 3},
                                        {"model.layers.99999999999999999999.x", 5},
                                        {"model.visual.layers.0.weight", 13},
                                        {"model.norm.weight", 2},
                                        {"rope_freqs.weight", 4}});
  const CheckpointSizes sizes = checkpoint->sizes();
  ASSERT_EQ(sizes.parts.size(), 4u);
  EXPECT_EQ(sizes.parts[0].name, "embedding");
  EXPECT_EQ(sizes.parts[1].name, "layer 2");
  EXPECT_EQ(sizes.parts[1].tensors, 3);
  EXPECT_EQ(sizes.parts[1].parameters, 64);
  EXPECT_EQ(sizes.parts[1].bytes, 128);
  EXPECT_EQ(sizes.parts[1].expert_bytes, 122);
  EXPECT_EQ(sizes.parts[2].name, "layer 10");
  EXPECT_EQ(sizes.parts[3].name, "other");
  EXPECT_EQ(sizes.parts[3].parameters, 24);
  EXPECT_TRUE(sizes.tied_head);
  EXPECT_EQ(sizes.parameters, 195);
  EXPECT_EQ(sizes.bytes, 390);
  int64_t bytes = 0;
  for (const auto& part : sizes.parts) bytes += part.bytes;
  EXPECT_EQ(bytes, sizes.bytes);
  EXPECT_FALSE(with_tensors({{"lm_head.weight", 1}})->sizes().tied_head);
}

TEST(CheckpointSizes, ActiveAreTheExpertsThatATokenUses) {
  const auto mixture = Checkpoint::open(GALE_SOURCE_DIR "/tests/golden/data/mixtral_fused");
  const CheckpointSizes sizes = mixture->sizes();
  EXPECT_EQ(sizes.used_experts, 0.5);
  const int64_t experts = 2 * 4 * 3 * 40 * 56;  // layers, experts, matrices of each, their sizes
  EXPECT_EQ(sizes.active_parameters, sizes.parameters - experts / 2);
  const CheckpointSizes dense = Checkpoint::open(GALE_SOURCE_DIR "/tests/golden/data/qwen3")->sizes();
  EXPECT_EQ(dense.active_parameters, dense.parameters);
}

// Every golden model of the repository opens, and its parts add up.
TEST(CheckpointOpen, Goldens) {
  const std::filesystem::path root = GALE_SOURCE_DIR "/tests/golden/data";
  if (!std::filesystem::is_directory(root)) GTEST_SKIP() << "skipped: no data in " << root;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    if (!std::filesystem::exists(entry.path() / "config.json")) continue;
    const auto checkpoint = Checkpoint::open(entry.path());
    EXPECT_FALSE(checkpoint->architecture().empty());
    int64_t bytes = 0;
    for (const RawTensor& tensor : checkpoint->tensors()) bytes += tensor.own_bytes();
    EXPECT_EQ(checkpoint->sizes().bytes, bytes);
  }
}

}  // namespace
}  // namespace gale
