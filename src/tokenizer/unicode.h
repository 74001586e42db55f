#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>

/// Character properties as the Python package `tokenizers` has them. unicode_*_tables.cpp are written by make_unicode.py; every
/// table is sorted by its first member.
namespace gale::unicode {

struct Range {
  char32_t first, last;
};
/// Each `stride`-th code point of [first, last] maps to itself + distance.
struct Mapping {
  char32_t first, last;
  int32_t distance, stride;
};
struct Kind {
  char32_t first, last, value;
};
struct Composition {
  char32_t left, right, whole;
};
/// Each of [first, last] is taken apart into `size` characters of the text beside the table, which lie one after the other from
/// `begin`.
struct Decomposition {
  char32_t first, last;
  uint32_t begin, size;
};
/// A class of Oniguruma's expressions.
struct Class {
  std::string_view names;   ///< in small letters, each between spaces: "alphabetic", "[:alpha:]", "\\w"
  std::string_view ranges;  ///< gaps and lengths, see make_unicode.py
};
/// What is equal to a character where case does not count.
struct Folding {
  char32_t code;
  std::string_view text;  ///< several characters
};
enum Grapheme : char32_t { other, control, extend, spacing_mark, prepend, jamo_l, jamo_v, jamo_t, jamo_lv, jamo_lvt };

std::span<const Range> word() noexcept;             ///< \w of Rust's regular expressions
std::span<const Range> punctuation() noexcept;      ///< Punctuation and BertPreTokenizer
std::span<const Range> numeric() noexcept;          ///< Digits
std::span<const Range> nonspacing_mark() noexcept;  ///< what BertNormalizer strips
std::span<const Range> combining_mark() noexcept;   ///< what StripAccents strips
std::span<const Range> bert_control() noexcept;     ///< what BertNormalizer cleans away
std::span<const Range> nmt_removed() noexcept;
std::span<const Range> nmt_space() noexcept;       ///< what Nmt makes a space
std::span<const Mapping> lower() noexcept;         ///< without U+0130, the one that becomes two
std::span<const Kind> combining_class() noexcept;  ///< 0 is left out
std::span<const Kind> script() noexcept;           ///< numbers of UnicodeScripts; 0 goes with every script
std::span<const Kind> grapheme() noexcept;         ///< enum Grapheme
std::span<const Kind> stand_in() noexcept;         ///< see Regex
std::span<const Class> character_class() noexcept;
std::span<const Folding> folding() noexcept;
std::span<const Composition> composition() noexcept;
std::span<const Decomposition> canonical() noexcept;   ///< without Hangul
std::span<const Decomposition> compatible() noexcept;  ///< where it differs from the canonical one
std::span<const char32_t> canonical_text() noexcept;
std::span<const char32_t> compatible_text() noexcept;

/// The entry of a table with first and last that covers `code`, or nullptr.
template <class Row>
const Row* covering(std::span<const Row> table, char32_t code) noexcept {
  const auto after = std::upper_bound(table.begin(), table.end(), code, [](char32_t c, const Row& r) { return c < r.first; });
  return after == table.begin() || code > (after - 1)->last ? nullptr : &*(after - 1);
}
inline bool contains(std::span<const Range> table, char32_t code) noexcept { return covering(table, code) != nullptr; }
inline char32_t value_of(std::span<const Kind> table, char32_t code) noexcept {
  const Kind* row = covering(table, code);
  return row == nullptr ? 0 : row->value;
}

}  // namespace gale::unicode
