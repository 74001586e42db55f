#include "engine/open_tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/fail.h"
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/gguf.h"
#include "engine/export_metadata.h"
#include "engine/template_sources.h"
#include "engine/test_engine.h"

namespace gale {
namespace {

namespace fs = std::filesystem;
using namespace gale::testing;
using Width = GgufWriter::Width;

fs::path vectors(const std::string& name) { return fs::path(GALE_SOURCE_DIR) / "src/tokenizer/testdata" / (name + ".json"); }

// A GGUF of metadata alone, with what `fill` adds.
template <class Fill>
std::shared_ptr<const Checkpoint> metadata_only(const fs::path& path, Fill fill) {
  GgufWriter writer(path);
  writer.set("general.architecture", std::string("llama"), Width::string);
  for (const char* key : {"context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count"})
    writer.set(fmt::format("llama.{}", key), int64_t(4), Width::u32);
  writer.set("llama.attention.layer_norm_rms_epsilon", 1e-5, Width::f32);
  fill(writer);
  writer.commit();
  return Checkpoint::open(path);
}

class VocabThroughGguf : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Kinds, VocabThroughGguf, ::testing::Values("byte_llama3", "byte_qwen", "spm_legacy"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(VocabThroughGguf, EncodesTheSame) {
  const TemporaryFolder folder;
  const auto from_json = Tokenizer::from_json(read_text(vectors(GetParam())));
  const auto file =
      metadata_only(folder / "v.gguf", [&](GgufWriter& w) { set_vocab(w, from_json->vocab(), from_json->vocab_size() + 3); });
  const auto from_gguf = open_tokenizer(*file);
  ASSERT_NE(from_gguf, nullptr);
  EXPECT_EQ(from_gguf->vocab_size(), from_json->vocab_size() + 3) << "padded to the rows of the embedding";
  for (const char* text :
       {"Hello world", "", " two  spaces ", "héllo 123 世界\n\n\ttabs", "<|eot_id|> </s> <|im_end|>", "don't 3.14"}) {
    EXPECT_EQ(from_gguf->encode(text), from_json->encode(text)) << text;
    EXPECT_EQ(from_gguf->decode(from_gguf->encode(text)), from_json->decode(from_json->encode(text))) << text;
  }
}

VocabSpec small_vocab() {
  VocabSpec spec;
  spec.kind = VocabSpec::Kind::byte_bpe;
  spec.pre = "qwen2";
  spec.tokens = {"a", "b", "ab", "<|im_end|>", "<|endoftext|>"};
  spec.types = {1, 1, 1, 3, 3};
  spec.merges = {"a b"};
  return spec;
}

TEST(EndTokens, FromMetadataAndWhereItNamesNoTurnFromTheUsualNames) {
  const TemporaryFolder folder;
  const auto ends = [&](const char* name, std::vector<std::pair<std::string, int64_t>> ids) {
    const auto file = metadata_only(folder / name, [&](GgufWriter& w) {
      set_vocab(w, small_vocab(), 0);
      for (const auto& [key, id] : ids) w.set("tokenizer.ggml." + key, id, Width::u32);
    });
    const auto tokenizer = open_tokenizer(*file);
    return end_tokens(*file, tokenizer.get(), 5);
  };
  EXPECT_EQ(ends("a.gguf", {{"eos_token_id", 4}}), (std::vector<int32_t>{3, 4}));
  EXPECT_EQ(ends("b.gguf", {{"eos_token_id", 4}, {"eot_token_id", 4}}), (std::vector<int32_t>{4}));
  EXPECT_EQ(ends("c.gguf", {}), (std::vector<int32_t>{3}));
  EXPECT_EQ(ends("d.gguf", {{"eos_token_id", 4}, {"eot_token_id", 2}}), (std::vector<int32_t>{2, 4}));
}

TEST(EndTokens, FromGenerationConfigAsNumberOrList) {
  const TemporaryFolder folder;
  fs::copy(golden_path("llama3"), folder / "m");
  const auto with = [&](const char* text) {
    std::ofstream(folder / "m" / "generation_config.json") << text;
    return end_tokens(*Checkpoint::open(folder / "m"), nullptr, 160);
  };
  EXPECT_EQ(with(R"({"eos_token_id": [7, 5]})"), (std::vector<int32_t>{2, 5, 7})) << "config.json has 2";
  EXPECT_EQ(with(R"({"eos_token_id": 9})"), (std::vector<int32_t>{2, 9}));
  EXPECT_EQ(with(R"({"eos_token_id": 999})"), (std::vector<int32_t>{2})) << "beyond the vocabulary";
  EXPECT_EQ(with(R"({})"), (std::vector<int32_t>{2}));
}

/// Cased vocabularies say so; without a word WordPiece takes capitals and accents off.
TEST(OpenTokenizer, CasedWordPiece) {
  const TemporaryFolder folder;
  const auto ids = [&](std::optional<bool> lowercase, std::optional<bool> strip, const char* text) {
    const auto file = metadata_only(folder / "v.gguf", [&](GgufWriter& w) {
      w.set("tokenizer.ggml.model", std::string("bert"), Width::string);
      w.set("tokenizer.ggml.tokens", std::vector<std::string>{"[UNK]", "\u2581Élan", "\u2581élan", "\u2581elan", "\u2581Elan"},
            Width::string_array);
      w.set("tokenizer.ggml.unknown_token_id", int64_t(0), Width::u32);
      if (lowercase) w.set("tokenizer.ggml.normalizer.lowercase", *lowercase, Width::boolean);
      if (strip) w.set("tokenizer.ggml.normalizer.strip_accents", *strip, Width::boolean);
    });
    return open_tokenizer(*file)->encode(text, {.add_special = false});
  };
  EXPECT_EQ(ids({}, {}, "Élan"), std::vector<TokenId>{3});
  EXPECT_EQ(ids(false, {}, "Élan"), std::vector<TokenId>{1});
  EXPECT_EQ(ids(true, false, "Élan"), std::vector<TokenId>{2});
  EXPECT_EQ(ids(false, true, "Élan"), std::vector<TokenId>{4});
}

/// BPE over plain words, as llama.cpp's converter names it.
TEST(OpenTokenizer, WhitespaceModel) {
  const TemporaryFolder folder;
  const auto file = metadata_only(folder / "v.gguf", [&](GgufWriter& w) {
    w.set("tokenizer.ggml.model", std::string("whitespace"), Width::string);
    w.set("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "ab", "A"}, Width::string_array);
    w.set("tokenizer.ggml.merges", std::vector<std::string>{"a b"}, Width::string_array);
  });
  EXPECT_EQ(open_tokenizer(*file)->encode("ab  a b\nA"), (std::vector<TokenId>{2, 0, 1, 3}));
}

TEST(OpenTokenizer, UnknownKindsAreRefusedByName) {
  const TemporaryFolder folder;
  const auto file = metadata_only(folder / "v.gguf", [](GgufWriter& w) {
    w.set("tokenizer.ggml.model", std::string("plamo2"), Width::string);
    w.set("tokenizer.ggml.tokens", std::vector<std::string>{"a"}, Width::string_array);
  });
  try {
    open_tokenizer(*file);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
    EXPECT_NE(std::string(e.what()).find("plamo2"), std::string::npos);
  }
}

TEST(OpenChatTemplate, OneThatDoesNotParseIsLeftOut) {
  const TemporaryFolder folder;
  fs::copy(golden_path("llama3"), folder / "m");
  EXPECT_EQ(open_chat_template(*Checkpoint::open(folder / "m")), nullptr);
  std::ofstream(folder / "m" / "chat_template.jinja") << "{% if %}";
  EXPECT_EQ(open_chat_template(*Checkpoint::open(folder / "m")), nullptr);
  std::ofstream(folder / "m" / "chat_template.jinja") << "{% for m in messages %}{{ m.content }}{% endfor %}";
  EXPECT_NE(open_chat_template(*Checkpoint::open(folder / "m")), nullptr);
}

/// Each file wins over those written before it.
TEST(OpenChatTemplate, Precedence) {
  const TemporaryFolder folder;
  const fs::path model = folder / "m";
  fs::copy(golden_path("llama3"), model);
  const auto sources = [&] {
    std::vector<std::string> out;
    for (const NamedTemplate& t : template_sources(*Checkpoint::open(model))) out.push_back(t.name + "=" + t.source);
    return out;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(sources(), Names{});
  std::ofstream(model / "chat_template.json") << R"({"chat_template": "C"})";
  EXPECT_EQ(sources(), Names{"default=C"});
  std::ofstream(model / "tokenizer_config.json")
      << R"({"chat_template": [{"name": "default", "template": "D"}, 3, {"name": "tool_use", "template": "T"}], "pad_token": "<p>",
             "unk_token": {"content": "<u>"}, "bos_token": null})";
  EXPECT_EQ(sources(), (Names{"default=D", "tool_use=T"}));
  std::ofstream(model / "chat_template.jinja") << "J";
  EXPECT_EQ(sources(), Names{"default=J"});
  fs::create_directory(model / "additional_chat_templates");
  std::ofstream(model / "additional_chat_templates" / "rag.jinja") << "R{{ pad_token }}{{ unk_token }}";
  EXPECT_EQ(sources(), (Names{"default=J", "rag=R{{ pad_token }}{{ unk_token }}"}));
  std::ofstream(model / "processor_config.json") << R"({"chat_template": "P"})";
  EXPECT_EQ(sources(), Names{"default=P"});
  const auto checkpoint = Checkpoint::open(model);
  const fs::path named = model / "additional_chat_templates" / "rag.jinja";
  EXPECT_EQ(open_chat_template(*checkpoint, named.string())->render({}), "R<p><u>");
  std::ofstream(folder / "asks.jinja") << "{{ bos_token is defined }}{{ pad_token is defined }}{{ bos_token }}";
  EXPECT_EQ(open_chat_template(*checkpoint, (folder / "asks.jinja").string())->render({}), "FalseTrue") << "as in transformers";
  EXPECT_THROW(open_chat_template(*checkpoint, (folder / "absent").string()), Error);
  EXPECT_THROW(open_chat_template(*checkpoint, (model / "config.json").string()), Error);
}

}  // namespace
}  // namespace gale
