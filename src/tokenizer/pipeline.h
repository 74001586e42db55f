#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/decoder.h"
#include "tokenizer/model.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"

namespace gale {

/// U+2581, which stands for a space in sentencepiece vocabularies.
inline constexpr std::string_view kWordMark = "\xe2\x96\x81";
/// Ids above this are refused: vocabularies have at most some hundred thousand entries, and memory goes with the highest id.
inline constexpr int64_t kMaxVocab = int64_t(1) << 22;

/// All that a file says about a tokenizer; readers fill it, Pipeline runs it: normalizer, pre-tokenizer, model, post-processor
/// and, on the way back, decoder.
struct TokenizerParts {
  Normalizer normalizer;
  PreTokenizer pre;
  std::unique_ptr<Model> model;
  int32_t vocab_size = 0;
  bool byte_level = false;  ///< the model's texts are bytes, for which the vocabulary has letters
  std::vector<AddedToken> added;
  bool added_in_letters = false;  ///< on the way back added tokens are read as letters for bytes too, so that "ü" is one byte
  /// Left out on the way back: tokens with such a text, however they came by it. Empty: those that are special.
  std::unordered_set<std::string, TextHash, std::equal_to<>> special_texts;
  PostProcessor post;
  Decoder decoder;
  std::vector<int32_t> types;  ///< VocabSpec::TokenType by id
  std::optional<Truncation> truncation;
  std::optional<Padding> padding;

  // What only writers of GGUF need.
  std::optional<VocabSpec::Kind> kind;  ///< nullopt: GGUF has no name for the model
  BpeModel rules;                       ///< of a BPE model, without its texts
  std::vector<float> scores;            ///< sentencepiece vocabularies by scores, else empty
  std::optional<TokenId> bos, eos, unk, pad;
  std::string pre_name;  ///< the GGUF name of the pre-tokenizer where it is known, else empty
};

class Pipeline final : public Tokenizer {
 public:
  explicit Pipeline(TokenizerParts parts);

  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override;
  Encoding encode_aligned(std::string_view text, std::optional<std::string_view> second, EncodeOptions options,
                          const Truncation* limit) const override;
  std::string decode(const std::vector<TokenId>& ids, bool with_special) const override;
  std::unique_ptr<TokenDecoder> decoder(bool with_special) const override;
  std::string_view piece(TokenId id) const override;
  std::string_view first_piece(TokenId id) const override;
  std::string token_text(TokenId id) const override;
  int32_t vocab_size() const override { return parts_.vocab_size; }
  std::vector<TokenId> added_tokens() const override;
  bool finds_rewritten() const override { return !normalized_added_.empty() && !parts_.normalizer.steps().empty(); }
  bool is_special(TokenId id) const override { return id >= 0 && id < parts_.vocab_size && special_[size_t(id)] != 0; }
  std::optional<TokenId> find(std::string_view text) const override;
  VocabSpec vocab() const override;
  bool strips_leading_space() const override { return parts_.decoder.strips_leading_space(); }
  bool piecewise() const override { return parts_.decoder.piecewise(); }
  const std::optional<Truncation>& truncation() const override { return parts_.truncation; }
  const std::optional<Padding>& padding() const override { return parts_.padding; }

 private:
  struct Run;
  class ByPieces;
  class BySteps;
  /// Texts by id, one after the other.
  struct Pieces {
    std::string bytes;
    std::vector<size_t> ends{0};
    void add(std::string_view text) {
      bytes += text;
      ends.push_back(bytes.size());
    }
    std::string_view operator[](TokenId id) const {
      return std::string_view(bytes).substr(ends[size_t(id)], ends[size_t(id) + 1] - ends[size_t(id)]);
    }
  };

  void encode_all(std::string_view text, Run& run) const;
  void encode_text(const SourceText& text, size_t begin, size_t end, Run& run) const;
  void encode_words(const SourceText& text, size_t begin, size_t end, size_t start, Run& run) const;
  Part one(std::string_view text, EncodeOptions options, int32_t type) const;
  std::vector<Part> windows(std::string_view text, const Part& whole, const Windows& cut) const;
  const Pieces& pieces(bool first) const;
  const std::string* added_text(TokenId id) const;
  bool by_pieces() const { return parts_.byte_level && parts_.decoder.is_byte_level(); }
  bool shown(TokenId id, bool with_special) const;

  TokenizerParts parts_;
  AddedTokenFinder raw_added_, normalized_added_;
  std::unordered_map<std::string, TokenId, TextHash, std::equal_to<>> added_ids_;
  std::unordered_map<TokenId, std::string> added_texts_;
  std::vector<uint8_t> special_, hidden_;  // by id; hidden: left out on the way back
  std::vector<TokenId> prefix_, suffix_;
  bool surrounds_;                                    // a text comes between these
  mutable std::once_flag pieces_made_, firsts_made_;  // not needed for encoding, so made when first asked for
  mutable Pieces pieces_, firsts_;
};

/// The vocabulary of these parts in GGUF's form.
VocabSpec export_vocab(const TokenizerParts& parts);

}  // namespace gale
