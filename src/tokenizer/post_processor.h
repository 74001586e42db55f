#pragma once
#include <string_view>
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

/// Takes so many characters of `whole` from either end of [begin, end), as far as there are so many.
void trim_offset(std::string_view whole, size_t leading, size_t trailing, uint32_t& begin, uint32_t& end);

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

  /// `spaces(i, leading, most)`: how many spaces the text of token i begins, or ends, with; more than `most` need not be counted.
  template <class Spaces>
  void trim(std::string_view whole, Encoding& text, Spaces spaces) const {
    for (const Trim t : trims)
      for (size_t i = 0; i < text.size(); ++i) {
        auto& [begin, end] = text.offsets[i];
        size_t leading = spaces(i, true, end - begin);
        const size_t trailing = spaces(i, false, end - begin);
        if (leading == 1 && (i == 0 || begin == 0) && t.prefix_space) leading = 0;
        trim_offset(whole, leading, trailing, begin, end);
      }
  }
  Encoding apply(const Encoding& text, const Encoding* second, bool add_special) const;
};

}  // namespace gale
