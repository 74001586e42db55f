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
/// Writes 1 to 4 bytes and says how many; U+FFFD for what is no code point.
size_t encode_utf8(uint32_t code, char* out) noexcept;
void append_utf8(std::string& out, uint32_t code);
/// Bytes of a character by its first one. REQUIRES: the text is valid UTF-8.
inline size_t utf8_length(char lead) noexcept {
  const auto b = uint8_t(lead);
  return b < 0x80 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
}
/// The character at `at` and its length. REQUIRES: the text is valid UTF-8 and `at` lies between characters.
inline char32_t utf8_next(std::string_view text, size_t at, size_t& length) noexcept {
  const auto byte = [&](size_t i) { return uint32_t(uint8_t(text[at + i])); };
  length = utf8_length(text[at]);
  if (length == 1) return byte(0);
  if (length == 2) return (byte(0) & 0x1f) << 6 | (byte(1) & 0x3f);
  if (length == 3) return (byte(0) & 0xf) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
  return (byte(0) & 7) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
}
/// Appends `bytes` with each wrong sequence as one U+FFFD. Unless `final`, a character cut by the end is left alone.
/// Returns how many bytes were used.
size_t append_lossy(std::string& out, std::string_view bytes, bool final);

/// Unicode White_Space.
bool is_space(uint32_t code) noexcept;
/// A word character of Rust's regular expressions: letters, marks, digits, letter-like numbers, connectors, joiners.
bool is_word(uint32_t code) noexcept;

}  // namespace gale
