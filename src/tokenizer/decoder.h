#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/regex.h"

namespace gale {

/// What happens to spaces at the start of a decoded text.
enum class LeadingSpace { keep, drop_one, drop_all };

/// One step from a token's text in the vocabulary to the bytes it stands for.
struct DecoderStep {
  enum class Kind { byte_level, byte_fallback, replace, strip };
  Kind kind;
  std::string pattern = {};                      ///< replace: what is looked for; strip: the character
  std::string content = {};                      ///< replace: what is put there
  std::shared_ptr<const Regex> regex = nullptr;  ///< replace by a regular expression
  size_t start = 0, stop = 0;                    ///< strip: at most how many at either end
};

/// The chain of steps, run once per token when a tokenizer is made.
struct Decoder {
  std::vector<DecoderStep> steps;
  LeadingSpace leading = LeadingSpace::keep;

  std::string piece(std::string_view text) const;
};

/// U+2581 to spaces and "<0x..>" to bytes: the decoder of sentencepiece vocabularies.
Decoder sentencepiece_decoder(LeadingSpace leading);

}  // namespace gale
