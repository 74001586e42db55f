#include "tokenizer/json_export.h"

#include <gmock/gmock.h>

#include "gale/error.h"
#include "tokenizer/test_data.h"

namespace gale {
namespace {

using namespace tokenizer_test;

const char* const kTexts[] = {"",
                              "Once upon a time, there was 1 little girl.",
                              "  two spaces\n\n\tand 12345 digits, it's John's",
                              "Größe \u4f60\u597d \U0001f600 caf\u00e9",
                              "a<|end_of_text|>b</s><s> c",
                              "x=[1,2]; // \"quoted\"\r\n"};

// From a vocabulary as a GGUF has it, through the file, to the same ids and texts.
void expect_the_same(const VocabSpec& spec) {
  const auto direct = Tokenizer::from_vocab(spec), read = Tokenizer::from_json(tokenizer_json(spec));
  for (const char* text : kTexts) {
    EXPECT_EQ(read->encode(text), direct->encode(text)) << text;
    EXPECT_EQ(read->decode(direct->encode(text)), direct->decode(direct->encode(text))) << text;
  }
  for (TokenId id = 0; id < direct->vocab_size(); ++id) EXPECT_EQ(read->is_special(id), direct->is_special(id)) << id;
}

TEST(JsonExport, EncodesAsTheVocabularyDoes) {
  for (const char* file : {"byte_llama3.json", "byte_qwen.json", "spm_legacy.json"}) {
    SCOPED_TRACE(file);
    VocabSpec spec = Tokenizer::from_json(read_test_data(file))->vocab();
    expect_the_same(spec);
    if (!spec.bos) spec.bos = 0;
    spec.add_bos = true;
    expect_the_same(spec);
    if (spec.kind == VocabSpec::Kind::sentencepiece_bpe) {
      spec.add_space_prefix = false;
      expect_the_same(spec);
    }
  }
}

TEST(JsonExport, WhatHasNoFormIsRefused) {
  VocabSpec words;
  words.kind = VocabSpec::Kind::wordpiece;
  words.tokens = {"[UNK]", "a"};
  VocabSpec unknown;
  unknown.pre = "nobody-knows";
  unknown.tokens = {"a"};
  for (const auto& [spec, says] : {std::pair(words, "a model that is no BPE"), {unknown, "nobody-knows"}}) try {
      tokenizer_json(spec);
      ADD_FAILURE() << says;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::unsupported);
      EXPECT_THAT(e.what(), testing::HasSubstr(says));
    }
}

}  // namespace
}  // namespace gale
