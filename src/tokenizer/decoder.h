#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/regex.h"

namespace gale {

/// One step from tokens to text: a list of texts to a list of texts, as tokenizer.json defines each.
struct DecoderStep {
  enum class Kind { byte_level, byte_fallback, fuse, replace, strip, metaspace, wordpiece, bpe, ctc };
  Kind kind;
  std::string pattern = {};  ///< replace: what is looked for; strip: the character; metaspace: the mark; wordpiece: the prefix;
                             ///< bpe: the suffix; ctc: the padding token
  std::string content = {};  ///< replace: what is put there; ctc: the token between words
  std::shared_ptr<const Regex> regex = nullptr;  ///< replace by a regular expression
  size_t start = 0, stop = 0;                    ///< strip: at most how many at either end
  bool drops_first = false;                      ///< metaspace: the marks of the first token are no spaces
  bool cleanup = false;                          ///< wordpiece, ctc: no spaces before punctuation
};

/// What WordPiece and CTC write otherwise, in this order.
inline constexpr std::pair<std::string_view, std::string_view> kCleanups[] = {
    {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},    {" n't", "n't"},
    {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
};
/// An empty pattern is found before each character and at the end, as Rust has it.
std::string replace_all(std::string_view text, std::string_view pattern, std::string_view content);

/// The chain of steps. Immutable.
class Decoder {
 public:
  /// None: words with spaces between.
  Decoder() = default;
  /// Where there are no steps, tokens are put together as they are.
  explicit Decoder(std::vector<DecoderStep> steps);

  /// The text of tokens in the vocabulary's own form, exactly as the reference joins it. Always valid UTF-8 where they are.
  std::string text(std::vector<std::string> tokens) const;
  /// The bytes one token stands for. `first`: it is the first one of a text.
  std::string piece(std::string_view token, bool first, RegexScratch& scratch) const;
  /// The text of a list is that of its pieces one after the other (but for wrong UTF-8), so it can be had token by token.
  bool piecewise() const { return piecewise_; }
  /// Whether a first token's piece can differ from another's by the spaces it begins with.
  bool strips_leading_space() const { return strips_leading_space_; }
  /// Nothing but letters to bytes.
  bool is_byte_level() const { return steps_.size() == 1 && steps_[0].kind == DecoderStep::Kind::byte_level; }
  bool absent() const { return absent_; }
  const std::vector<DecoderStep>& steps() const { return steps_; }

 private:
  std::vector<DecoderStep> steps_;
  bool absent_ = true;
  bool piecewise_ = true, strips_leading_space_ = false;
};

/// U+2581 to spaces and "<0x..>" to bytes: the decoder of sentencepiece vocabularies. `drops`: one space at the start is dropped.
Decoder sentencepiece_decoder(bool drops_space);

}  // namespace gale
