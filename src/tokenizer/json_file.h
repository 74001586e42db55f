#pragma once
#include <simdjson.h>

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/hash_table.h"
#include "tokenizer/pipeline.h"

namespace gale {

/// Fields of a big JSON file, read without copies. The readers throw Error{corrupt} with a JSON pointer; missing and null are the
/// same.
namespace json_file {

using simdjson::dom::element;

element member(const element& object, std::string_view key, bool& present);
bool flag(const element& object, std::string_view key, std::string_view pointer, bool otherwise = false);
std::string_view text(const element& object, std::string_view key, std::string_view pointer, std::string_view otherwise);

}  // namespace json_file

/// A tokenizer.json's vocabulary: texts as the file writes them, which live in the parser.
struct JsonVocab {
  std::vector<std::string_view> texts;  ///< by id; "" where no token has it
  std::vector<double> scores;           ///< Unigram
  TextIndex ids;                        ///< of the model's own texts
  std::vector<TokenId> added;           ///< ids whose text is an added token's alone
  TokenId highest = -1;

  /// Id of the token `key` of /model names, or -1 where it names none or one that the model does not have.
  TokenId named(const json_file::element& model, std::string_view key, std::string_view otherwise) const;
};

/// Makes the models of a tokenizer.json. `model`: what stands at /model; `parts` has its types, added tokens and pre-tokenizer.
void read_bpe(const json_file::element& model, const JsonVocab& vocab, TokenizerParts& parts);
void read_unigram(const json_file::element& model, const JsonVocab& vocab, TokenizerParts& parts);
void read_wordpiece(const json_file::element& model, const JsonVocab& vocab, TokenizerParts& parts);
void read_wordlevel(const json_file::element& model, const JsonVocab& vocab, TokenizerParts& parts);

}  // namespace gale
