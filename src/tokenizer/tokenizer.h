#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/encoding.h"

namespace gale {

/// The way back to text for tokens that come one by one: what was given out is what `decode` gives for all of them, see
/// DecoderStream. May hold bytes that are no UTF-8, or end inside a character, where tokens are bytes. Not thread-safe.
class TokenDecoder {
 public:
  virtual ~TokenDecoder() = default;
  /// Appends what no later token can change.
  virtual void push(TokenId id, std::string& out) = 0;
  /// Appends what was held back. Nothing may follow.
  virtual void finish(std::string& out) = 0;
};

/// What only sentencepiece's own files say. They are read exactly as that package reads them: user-defined tokens are found after
/// normalization, which leaves them alone, and are no end of a text.
struct SentencePieceFile {
  enum class Units { pieces, characters, words };
  Units units = Units::pieces;  ///< what a text is taken apart into
  bool space_suffix = false;    ///< what add_space_prefix asks for goes to the end
  bool space_marks = true;      ///< spaces become U+2581
};

/// Vocabulary as a GGUF file carries it (`tokenizer.ggml.*`), for files without a tokenizer.json.
struct VocabSpec {
  /// tokenizer.ggml.model "gpt2", "llama", "bert", "t5", "rwkv", "wordlevel".
  enum class Kind { byte_bpe, sentencepiece_bpe, wordpiece, unigram, rwkv, wordlevel };
  enum TokenType : int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };
  Kind kind = Kind::byte_bpe;
  std::string pre;                  ///< tokenizer.ggml.pre: the pre-tokenizer's name ("llama-bpe", "qwen2" ...)
  std::vector<std::string> tokens;  ///< piece texts, in the file's own coding (byte-level letters or U+2581)
  std::vector<float> scores;        ///< sentencepiece only
  std::vector<int32_t> types;       ///< TokenType per token; empty: all normal
  std::vector<std::string> merges;  ///< "left right"; with sentencepiece only where scores cannot say the rules
  std::optional<TokenId> bos, eos, unk, pad;
  std::optional<TokenId> cls, sep;  ///< WordPiece; default: bos and eos
  bool add_bos = false, add_eos = false, add_space_prefix = true;
  bool lowercase = true, strip_accents = true;     ///< WordPiece, and BPE over plain words ("whitespace")
  bool remove_extra_whitespaces = false;           ///< unigram
  std::string charsmap;                            ///< sentencepiece's precompiled normalization, "" for none
  std::optional<SentencePieceFile> sentencepiece;  ///< the vocabulary comes from a .model file
};

/// Bytes [begin, end) of a text that belong to none of some tokens: what would be one of these is text.
struct PlainRange {
  size_t begin, end;
  const std::vector<bool>* tokens;  ///< by id
};

struct EncodeOptions {
  bool add_special = true;                 ///< add what the tokenizer adds by itself (BOS, EOS, its post-processor's tokens)
  bool parse_special = true;               ///< text such as "<|eot_id|>" becomes its special token; false: it is plain text
  std::span<const PlainRange> plain = {};  ///< ascending, apart
};

/// Text to token ids and back. Immutable: every method may be called from any thread.
/// Input of any length and content is handled in O(n log n); bytes that are not UTF-8 are read as U+FFFD, as Python's
/// errors='replace' reads them.
class Tokenizer {
 public:
  /// From the text of a Hugging Face tokenizer.json. Throws Error{corrupt} with a JSON pointer for malformed files and
  /// Error{unsupported} naming the component (model, normalizer, pre-tokenizer ...) it does not know.
  static std::unique_ptr<Tokenizer> from_json(std::string_view tokenizer_json);
  /// From a GGUF vocabulary. Throws Error{corrupt} where lists disagree in length or an id is out of range.
  static std::unique_ptr<Tokenizer> from_vocab(VocabSpec spec);
  virtual ~Tokenizer() = default;

  virtual std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const = 0;
  /// The same with offsets, types and masks, for one text or two. `limit`: cuts to a length, nullptr: does not. Throws
  /// Error{invalid_argument} where the texts cannot be cut so.
  virtual Encoding encode_aligned(std::string_view text, std::optional<std::string_view> second = {}, EncodeOptions options = {},
                                  const Truncation* limit = nullptr) const = 0;
  /// Whole text of ids, special tokens left out unless asked for; always valid UTF-8, wrong bytes become U+FFFD.
  virtual std::string decode(const std::vector<TokenId>& ids, bool with_special = false) const = 0;

  /// The same token by token. The tokenizer must outlive it.
  virtual std::unique_ptr<TokenDecoder> decoder(bool with_special = false) const = 0;

  /// Raw bytes of a token inside a text, which may be half a UTF-8 character; special tokens give their text. "" for ids out of
  /// range.
  virtual std::string_view piece(TokenId id) const = 0;
  /// The same as the first piece of a whole text: without the spaces that the decoder drops there.
  virtual std::string_view first_piece(TokenId id) const = 0;
  /// The token as the vocabulary writes it; "" for ids out of range.
  virtual std::string token_text(TokenId id) const = 0;
  /// A text is its tokens' pieces one after the other. Else a token's text depends on its neighbours (CTC, word suffixes).
  virtual bool piecewise() const = 0;
  /// True where the decoder drops one leading space of the whole text (sentencepiece with a prefix space).
  virtual bool strips_leading_space() const = 0;
  /// Number of ids (the highest id + 1).
  virtual int32_t vocab_size() const = 0;
  virtual bool is_special(TokenId id) const = 0;
  /// Those that are looked for in a text as a whole, special or not, by id.
  virtual std::vector<TokenId> added_tokens() const = 0;
  /// A text is rewritten before some of them are looked for, so that other spellings become them too.
  virtual bool finds_rewritten() const = 0;
  /// Id of a special or added token by its exact text, or of a vocabulary entry; nullopt where there is none.
  virtual std::optional<TokenId> find(std::string_view text) const = 0;
  /// The same vocabulary as a GGUF file would carry it, for writers. Throws Error{unsupported} for kinds GGUF has no name for.
  virtual VocabSpec vocab() const = 0;
  /// What the file asks for; applied only by callers that ask for it too.
  virtual const std::optional<Truncation>& truncation() const = 0;
  virtual const std::optional<Padding>& padding() const = 0;
};

}  // namespace gale
