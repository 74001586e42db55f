#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace gale {

/// What stands at one place of a byte string, by Unicode's table of well-formed sequences.
struct Utf8Char {
  enum Kind : uint8_t { valid, invalid, cut };
  uint32_t code;   ///< the code point; U+FFFD unless valid
  uint8_t length;  ///< bytes of the character, or of the longest start of one that went wrong
  Kind kind;       ///< cut: the bytes end inside a character that was fine so far
};

/// REQUIRES: at < text.size().
Utf8Char utf8_at(std::string_view text, size_t at) noexcept;
/// The character that ends before `end`, as utf8_at. REQUIRES: end > 0.
Utf8Char utf8_before(std::string_view text, size_t end) noexcept;
/// Length of the longest start of `text` that is valid UTF-8 and ends between characters.
size_t valid_prefix(std::string_view text) noexcept;
void append_utf8(std::string& out, uint32_t code);
/// Appends `bytes` with each wrong sequence as one U+FFFD. Unless `final`, a character cut by the end is left alone.
/// Returns how many bytes were used.
size_t append_lossy(std::string& out, std::string_view bytes, bool final);

/// Unicode White_Space.
bool is_space(uint32_t code) noexcept;
/// A word character of regular expressions: letters, marks, digits, letter-like numbers, connectors.
bool is_word(uint32_t code) noexcept;

}  // namespace gale
