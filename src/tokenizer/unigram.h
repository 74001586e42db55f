#pragma once
#include <array>
#include <vector>

#include "tokenizer/hash_table.h"
#include "tokenizer/model.h"
#include "tokenizer/trie.h"

namespace gale {

/// What a file says about a Unigram model.
struct UnigramModel {
  std::vector<std::string_view> texts;  ///< by id; need to live until the model is made
  std::vector<double> scores;           ///< natural logarithms of probabilities
  std::vector<uint8_t> usable;          ///< the id may come out of plain text
  TokenId unk = -1;
  bool byte_fallback = false;     ///< unknown characters become "<0x..>" tokens where all of them exist
  bool as_sentencepiece = false;  ///< not as the `tokenizers` package: sums have single precision, and runs of unknown characters
                                  ///< are not looked up
};

/// The most probable way to cut a word into pieces (Viterbi); a run of unknown characters is one token. Linear in the word's
/// length times that of the longest piece.
class Unigram final : public Model {
 public:
  /// REQUIRES: the three lists are equally long.
  explicit Unigram(const UnigramModel& model);
  /// Throws Error{invalid_argument} for a character that is in no piece, where there is no unknown token.
  void encode(std::string_view word, ModelScratch& scratch, TokenSink& out) const override;
  TokenId find(std::string_view text) const override { return table_.find(text); }
  std::string_view text(TokenId id) const override { return table_.text_or_empty(id); }

 private:
  void emit(std::string_view word, size_t begin, size_t end, TokenId id, TokenSink& out) const;

  PieceTable table_;
  Trie trie_;
  std::vector<double> scores_;
  std::array<TokenId, 256> byte_ids_;
  double unknown_score_;
  TokenId unk_;
  bool byte_fallback_, as_sentencepiece_;
};

}  // namespace gale
