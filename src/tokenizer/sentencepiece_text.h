#pragma once
#include <memory>

#include "tokenizer/added_tokens.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/source_text.h"

namespace gale {

/// sentencepiece's own normalization, whose parts cannot be told apart: what the rules make of a text decides which spaces count,
/// and a U+2581 of the text's own is a space from then on.
struct SentencePieceRules {
  std::shared_ptr<const CharsMap> charsmap = nullptr;  ///< nullptr: every character stays
  std::shared_ptr<const AddedTokenFinder> symbols;     ///< user-defined tokens, which no rule changes; nullptr: none
  bool prefix = true;                                  ///< a text begins with a space
  bool suffix = false;                                 ///< it ends with that one instead
  bool collapse = true;                                ///< spaces at the ends go, runs become one
  bool marks = true;                                   ///< spaces become U+2581

  /// Throws Error{invalid_argument} where the text becomes longer than `limit`.
  void apply(SourceText& text, size_t limit) const;
  bool operator==(const SentencePieceRules&) const = default;
};

}  // namespace gale
