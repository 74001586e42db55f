#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/hash_table.h"
#include "tokenizer/tokenizer.h"

namespace gale {

/// One rule: the neighbours `left` and `right` become `result`; lower ranks go first, equal ranks from left to right.
struct Merge {
  TokenId left, right, result;
  uint32_t rank;
};

/// What a file says about a BPE model. Texts are bytes (byte-level) or UTF-8 characters (sentencepiece).
struct BpeModel {
  std::vector<std::string> texts;    ///< by id; may go on after the vocabulary with characters that only exist inside pieces
  std::vector<uint8_t> usable;       ///< the id may come out of plain text
  std::vector<uint8_t> whole_words;  ///< with ignore_merges: the id stands for its text whatever the rules say
  std::vector<Merge> merges;
  int32_t vocab_size = 0;
  TokenId unk = -1;
  bool byte_level = false;     ///< the smallest symbol is a byte, not a character
  bool byte_fallback = false;  ///< unknown characters become "<0x..>" tokens where there are such
  bool fuse_unk = false;       ///< neighbouring unknown characters become one token
  bool ignore_merges = false;
  std::string word_mark;  ///< U+2581 where it replaces spaces, else empty
};

/// The merge engine: a word to token ids in O(n log n). Immutable.
class Bpe {
 public:
  /// REQUIRES: ids in `merges` are < texts.size(), `usable` and `whole_words` are as long as `texts`.
  explicit Bpe(const BpeModel& model);

  /// Working memory of one encode call.
  struct Scratch {
    struct Node {
      TokenId id;
      int32_t prev, next;
    };
    struct Candidate {
      uint64_t order;  // rank, then position
      TokenId left, right, result;
      bool operator<(const Candidate& o) const { return order > o.order; }  // the heap's top is the lowest
    };
    std::vector<TokenId> symbols;
    std::vector<Node> nodes;
    std::vector<Candidate> heap;
  };

  /// Appends the ids of a pre-token. Bytes that are not UTF-8 must come one by one through `encode_byte`.
  void encode(std::string_view text, Scratch& scratch, std::vector<TokenId>& out) const;
  void encode_byte(uint8_t byte, std::vector<TokenId>& out) const;

  const PieceTable& table() const { return table_; }

 private:
  void encode_word(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const;
  void merge_word(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const;
  void load(std::string_view word, std::vector<TokenId>& symbols) const;
  void merge_few(std::vector<TokenId>& symbols) const;
  void merge_many(Scratch& scratch) const;
  void push_candidate(Scratch& scratch, int32_t left, int32_t right) const;
  bool append_bytes(std::string_view text, std::vector<TokenId>& out) const;
  void append_unknown(std::string_view text, std::vector<TokenId>& out) const;
  bool can_cut_at_marks(const BpeModel& model) const;
  void find_whole_words(const BpeModel& model);

  PieceTable table_;
  PairTable pairs_;
  std::array<TokenId, 256> byte_ids_;  // byte-level: the byte's own token; else its "<0x..>" token; -1: none
  std::array<TokenId, 128> ascii_ids_;
  std::vector<uint8_t> usable_;
  std::vector<uint8_t> whole_;  // the text of this id encodes to just this id
  std::string word_mark_;
  int32_t vocab_size_;
  TokenId unk_;
  bool byte_level_, byte_fallback_, fuse_unk_;
  bool cut_at_marks_;  // no piece holds a mark after another character: words can be merged one by one
};

}  // namespace gale
