#pragma once
#include <string>
#include <vector>

#include "tokenizer/hash_table.h"
#include "tokenizer/model.h"
#include "tokenizer/trie.h"

namespace gale {

/// The World tokenizer of RWKV: the longest token that fits, byte by byte from the left.
class Rwkv final : public Model {
 public:
  /// `texts` by id are bytes; `unk` stands for a byte that begins no token.
  Rwkv(const std::vector<std::string_view>& texts, TokenId unk)
      : table_(texts, std::vector<uint8_t>(texts.size(), 1)), trie_(texts), unk_(unk) {}

  void encode(std::string_view word, ModelScratch& scratch, TokenSink& out) const override;
  TokenId find(std::string_view text) const override { return table_.find(text); }
  std::string_view text(TokenId id) const override { return table_.text_or_empty(id); }

 private:
  PieceTable table_;
  Trie trie_;
  TokenId unk_;
};

/// A token as GGUF writes it, with \t, \n, \r, \xHH and other characters after a backslash, as bytes.
std::string unescape_rwkv(std::string_view text);

}  // namespace gale
