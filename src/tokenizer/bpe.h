#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/hash_table.h"
#include "tokenizer/model.h"

namespace gale {

/// One rule: the neighbours `left` and `right` become `result`; lower ranks go first, equal ranks from left to right.
struct Merge {
  TokenId left, right, result;
  uint32_t rank;
};

/// What a file says about a BPE model. Texts are bytes (byte-level) or UTF-8 characters (sentencepiece).
struct BpeModel {
  std::vector<std::string_view> texts;  ///< by id; may go on after the vocabulary with characters that only exist inside pieces
  std::vector<uint8_t> usable;          ///< the id may come out of plain text
  std::vector<uint8_t> whole_words;     ///< with ignore_merges: the id stands for its text whatever the rules say
  std::vector<Merge> merges;
  int32_t vocab_size = 0;
  TokenId unk = -1;
  std::string missing_unk;     ///< the unknown token's name where the vocabulary lacks it; else unknown characters are left out
  bool byte_level = false;     ///< the smallest symbol is a byte, not a character
  bool byte_fallback = false;  ///< unknown characters become "<0x..>" tokens where there are such
  bool fuse_unk = false;       ///< neighbouring unknown characters become one token
  bool fuse_runs = false;      ///< and so do those of neighbouring words
  bool ignore_merges = false;
  std::string word_mark;      ///< U+2581 where it replaces spaces, else empty
  std::string inside_prefix;  ///< stands before every symbol of a word but the first one
  std::string end_suffix;     ///< stands after the last symbol of a word
};

/// The merge engine: a word to token ids in O(n log n).
class Bpe final : public Model {
 public:
  /// REQUIRES: ids in `merges` are < texts.size(), `usable` and `whole_words` are as long as `texts`, which lives until then.
  explicit Bpe(const BpeModel& model);

  void encode(std::string_view word, ModelScratch& scratch, TokenSink& out) const override;
  TokenId find(std::string_view text) const override {
    const TokenId id = table_.find(text);
    return id < vocab_size_ ? id : -1;
  }
  std::string_view text(TokenId id) const override { return table_.text_or_empty(id); }

 private:
  void encode_word(std::string_view word, size_t base, ModelScratch& scratch, TokenSink& out) const;
  void merge_word(std::string_view word, size_t base, ModelScratch& scratch, TokenSink& out) const;
  void load_bytes(std::string_view word, std::vector<Symbol>& symbols) const;
  bool drops(std::string_view word) const;
  void add_spans_of_rest(std::string_view word, size_t base, const std::vector<Symbol>& symbols, TokenSink& out) const;
  void load_characters(std::string_view word, ModelScratch& scratch) const;
  TokenId symbol_id(std::string_view character, bool first, bool last, std::string& buffer, std::string_view& whole) const;
  void merge_few(std::vector<Symbol>& symbols) const;
  void merge_many(ModelScratch& scratch) const;
  void push_candidate(ModelScratch& scratch, int32_t left, int32_t right) const;
  bool has_bytes(std::string_view text) const;
  void leave_out(std::string_view character) const;
  void emit(Symbol symbol, size_t begin, TokenSink& out) const;
  bool can_cut_at_marks(const BpeModel& model) const;

  // What is known of a text that is a token's: found out when it is first met, which changes no answer.
  enum Whole : uint8_t { untried, whole, in_parts };

  PieceTable table_;
  PairTable pairs_;
  std::array<TokenId, 256> byte_ids_;  // byte-level: the byte's own token; else its "<0x..>" token; -1: none
  std::array<TokenId, 128> ascii_ids_;
  std::vector<uint8_t> usable_;
  std::unique_ptr<std::atomic<uint8_t>[]> whole_;  // by id: the text of this id encodes to just this id
  std::string word_mark_, inside_prefix_, end_suffix_, missing_unk_;
  int32_t vocab_size_;
  TokenId unk_;
  bool byte_level_, byte_fallback_, fuse_unk_, fuse_runs_;
  bool cut_at_marks_;  // no piece holds a mark after another character: words can be merged one by one
};

}  // namespace gale
