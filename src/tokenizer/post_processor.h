#pragma once
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/encoding.h"

namespace gale {

/// A part of what a text becomes: one of the texts, or tokens of the tokenizer's own.
struct TemplateItem {
  enum Kind { first_text, second_text, tokens, broken };
  Kind kind = first_text;  ///< broken: processors of a Sequence that cannot follow each other
  std::vector<TokenId> ids = {};
  std::optional<int32_t> type_id = {};      ///< nullopt: a text's own, 0 for the first and 1 for the second one
  std::optional<int32_t> cut_type_id = {};  ///< the same for what truncation took away
  bool marked = true;                       ///< tokens are in the mask of special ones
};

/// How many spaces the text of a token begins and ends with.
struct Spaces {
  size_t leading = 0, trailing = 0;
};

/// A text's tokens on their way through the post-processor.
struct Part {
  Encoding encoding;
  std::vector<Spaces> spaces = {};  ///< by token, where offsets are trimmed
  bool cut_off = false;             ///< what truncation took away, whose type ids are its own
};

/// What is put around the tokens of one text, or of two. Immutable.
struct PostProcessor {
  /// Offsets lose the spaces at their ends.
  struct Trim {
    bool prefix_space = true;  ///< a space the pre-tokenizer added is none of the text's
  };
  std::vector<TemplateItem> single{{}}, pair{{}, {.kind = TemplateItem::second_text}};
  std::vector<TemplateItem> plain_single = single, plain_pair = pair;  ///< where no tokens are added
  std::optional<size_t> room_single = {}, room_pair = {};  ///< for how many tokens truncation leaves room; nullopt: for those
  std::vector<Trim> trims;

  /// The text comes once and alone, so that what is put around it is the prefix and the suffix.
  bool surrounds() const;
  std::vector<TokenId> prefix() const;  ///< ids before a single text
  std::vector<TokenId> suffix() const;  ///< ids after a single text
  size_t added(bool has_pair) const;    ///< what truncation leaves room for

  /// Takes the spaces from the offsets of a part of `whole`.
  void trim(std::string_view whole, Part& part) const;
  /// One text, or two, with what is put around them. Throws Error{invalid_argument} for one where the second is asked for.
  Encoding apply(const Part& text, const Part* second, bool add_special) const;
  /// The same of a text's windows: the first ones, and all others with each other.
  Encoding apply_all(std::span<const Part> text, std::span<const Part> second, bool add_special) const;
};

}  // namespace gale
