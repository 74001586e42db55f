#pragma once
#include <cstdint>
#include <span>

/// What Python's str methods need to know of Unicode. unicode_tables.cpp is written by make_unicode.py.
namespace gale::jinja::unicode {

struct Range {
  char32_t first, last;
};
/// Each `stride`-th code point of [first, last] maps to itself + distance.
struct Mapping {
  char32_t first, last;
  int32_t distance, stride;
};
struct Expansion {
  char32_t from;
  const char* to;
};

std::span<const Range> alpha();
std::span<const Range> decimal();
std::span<const Range> digit();    ///< isdigit() but not isdecimal()
std::span<const Range> numeric();  ///< isnumeric() but neither isdigit() nor isalpha()
std::span<const Range> unprintable();
std::span<const Range> lower_case();  ///< above ASCII only
std::span<const Range> upper_case();  ///< above ASCII only
std::span<const Range> cased();
std::span<const Range> case_ignorable();
std::span<const Mapping> to_upper();
std::span<const Mapping> to_lower();
std::span<const Expansion> expand_upper();
std::span<const Expansion> expand_title();  ///< where title case is not upper case
std::span<const Expansion> expand_fold();   ///< where casefold() is not lower()

}  // namespace gale::jinja::unicode
