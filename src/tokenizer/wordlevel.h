#pragma once
#include <vector>

#include "tokenizer/hash_table.h"
#include "tokenizer/model.h"

namespace gale {

/// A token for each word.
class WordLevel final : public Model {
 public:
  WordLevel(const std::vector<std::string_view>& texts, TokenId unk)
      : table_(texts, std::vector<uint8_t>(texts.size(), 1), PieceTable::last), unk_(unk) {}

  /// Throws Error{invalid_argument} for an unknown word where there is no unknown token.
  void encode(std::string_view word, ModelScratch& scratch, TokenSink& out) const override;
  TokenId find(std::string_view text) const override { return table_.find(text); }
  std::string_view text(TokenId id) const override { return table_.text_or_empty(id); }

 private:
  PieceTable table_;
  TokenId unk_;
};

}  // namespace gale
