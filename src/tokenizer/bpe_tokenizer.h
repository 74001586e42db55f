#pragma once
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/decoder.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"

namespace gale {

/// U+2581, which stands for a space in sentencepiece vocabularies.
inline constexpr std::string_view kWordMark = "\xe2\x96\x81";
/// Ids above this are refused: vocabularies have at most some hundred thousand entries, and memory goes with the highest id.
inline constexpr int64_t kMaxVocab = int64_t(1) << 22;

/// All that a file says about a BPE tokenizer; readers fill it, BpeTokenizer runs it.
struct TokenizerParts {
  Normalizer normalizer;
  PreTokenizer pre;
  BpeModel model;
  std::vector<AddedToken> added;
  Decoder decoder;
  std::vector<int32_t> types;           ///< VocabSpec::TokenType by id
  std::vector<TokenId> prefix, suffix;  ///< what encode adds by itself
  std::vector<float> scores;            ///< sentencepiece vocabularies by scores, else empty
  std::optional<TokenId> bos, eos, pad;
  std::string pre_name;  ///< the GGUF name of the pre-tokenizer where it is known, else empty
};

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(TokenizerParts parts);

  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override;
  std::string_view piece(TokenId id) const override;
  std::string_view first_piece(TokenId id) const override;
  int32_t vocab_size() const override { return vocab_size_; }
  bool is_special(TokenId id) const override { return id >= 0 && id < vocab_size_ && special_[size_t(id)] != 0; }
  std::optional<TokenId> find(std::string_view text) const override;
  VocabSpec vocab() const override;
  bool strips_leading_space() const override { return parts_.decoder.leading != LeadingSpace::keep; }

 private:
  struct Run;
  void encode_text(std::string_view text, bool first, Run& run) const;
  void encode_normalized(std::string_view text, bool first, bool continued, Run& run) const;
  void make_pieces();

  TokenizerParts parts_;  // without the texts, which the merge engine holds
  int32_t vocab_size_;
  Bpe bpe_;
  AddedTokenFinder raw_added_, normalized_added_;
  std::unordered_map<std::string, TokenId> added_ids_;
  std::string piece_bytes_;
  std::vector<size_t> piece_ends_;
  std::vector<uint8_t> special_;
};

/// The vocabulary of these parts in GGUF's form. `texts`: the tokens' texts as the merge engine has them.
VocabSpec export_vocab(const TokenizerParts& parts, const PieceTable& texts);

}  // namespace gale
