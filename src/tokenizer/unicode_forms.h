#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace gale {

/// A character of normalized text, and how the count of characters changed: it takes the place of 1 - change old ones.
struct FormChar {
  char32_t code;
  int change;
};

/// NFD, NFC (compose), NFKD and NFKC (compat) of a text, in O(n log n). REQUIRES: `text` is valid UTF-8.
std::vector<FormChar> unicode_form(std::string_view text, bool compose, bool compat);

/// True where the text is its own NFC and NFD for the simple reason that it is ASCII.
bool is_ascii(std::string_view text) noexcept;
char32_t to_lower(char32_t code) noexcept;  ///< U+0130 is left to the caller: it becomes "i" and U+0307

}  // namespace gale
