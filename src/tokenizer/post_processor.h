#pragma once
#include <vector>

#include "tokenizer/encoding.h"

namespace gale {

/// A part of what a text becomes: one of the texts, or tokens of the tokenizer's own.
struct TemplateItem {
  enum Kind { first_text, second_text, tokens };
  Kind kind = first_text;
  std::vector<TokenId> ids = {};
  int32_t type_id = 0;
};

/// What is put around the tokens of one text, or of two. Immutable.
struct PostProcessor {
  /// Offsets lose the spaces at their ends.
  struct Trim {
    bool prefix_space = true;  ///< a space the pre-tokenizer added is none of the text's
  };
  std::vector<TemplateItem> single{{}};
  std::vector<TemplateItem> pair{{}, {.kind = TemplateItem::second_text, .type_id = 1}};
  std::vector<Trim> trims;
  bool types_without_special = true;  ///< the items' type ids hold even where nothing is added
  bool no_types = false;              ///< every type id is 0 (RoBERTa)

  std::vector<TokenId> prefix() const;  ///< ids before a single text
  std::vector<TokenId> suffix() const;
  size_t added(bool has_pair) const;

  /// `spaces(i, leading)`: how many spaces the text of token i begins, or ends, with.
  template <class Spaces>
  void trim(Encoding& text, Spaces spaces) const {
    for (const Trim t : trims)
      for (size_t i = 0; i < text.size(); ++i) {
        auto& [begin, end] = text.offsets[i];
        size_t leading = spaces(i, true);
        const size_t trailing = spaces(i, false);
        if (leading > 0 && (i == 0 || begin == 0) && t.prefix_space) --leading;
        begin = uint32_t(std::min<size_t>(begin + leading, end));
        if (trailing > 0 && end >= trailing) end = uint32_t(std::max<size_t>(end - trailing, begin));
      }
  }
  Encoding apply(const Encoding& text, const Encoding* second, bool add_special) const;
};

}  // namespace gale
