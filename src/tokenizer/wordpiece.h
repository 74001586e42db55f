#pragma once
#include <string>
#include <vector>

#include "tokenizer/hash_table.h"
#include "tokenizer/model.h"
#include "tokenizer/trie.h"

namespace gale {

/// What a file says about a WordPiece model.
struct WordPieceModel {
  std::vector<std::string_view> texts;  ///< by id; need to live until the model is made
  TokenId unk = -1;
  std::string prefix = "##";    ///< of pieces inside a word
  size_t max_characters = 100;  ///< longer words are unknown
};

/// The longest piece that fits, from the left; a word that cannot be cut up so is one unknown token.
class WordPiece final : public Model {
 public:
  explicit WordPiece(const WordPieceModel& model);
  /// Throws Error{invalid_argument} for an unknown word where there is no unknown token.
  void encode(std::string_view word, ModelScratch& scratch, TokenSink& out) const override;
  TokenId find(std::string_view text) const override { return table_.find(text); }
  std::string_view text(TokenId id) const override { return table_.text_or_empty(id); }

 private:
  PieceTable table_;
  Trie trie_;
  uint32_t inside_;  // where pieces inside a word begin
  TokenId unk_;
  size_t max_characters_;
};

}  // namespace gale
