#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gale {

/// GPT-2's letters: each byte has one printable character, so that any bytes can be a vocabulary entry in a text file.
/// Printable Latin-1 bytes stand for themselves, the others are U+0100, U+0101 ... in order.
std::string bytes_to_letters(std::string_view bytes);
/// The letter of one byte.
char32_t byte_letter(uint8_t byte) noexcept;
/// The way back; nullopt where the text holds a character that is no such letter.
std::optional<std::string> letters_to_bytes(std::string_view letters);
/// The same, appended to `out`; false, with `out` as it was, where the text holds a character that is no such letter.
bool append_letters(std::string& out, std::string_view letters);

/// The byte that the text "<0x0A>" of sentencepiece's byte tokens stands for, or -1.
int byte_token(std::string_view text) noexcept;

}  // namespace gale
