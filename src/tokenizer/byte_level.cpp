#include "tokenizer/byte_level.h"

#include <array>
#include <cstdint>

#include "tokenizer/utf8.h"

namespace gale {
namespace {

struct Letters {
  std::array<uint16_t, 256> of_byte{};
  std::array<int16_t, 512> byte_of{};
};

constexpr Letters make_letters() {
  Letters t;
  for (int16_t& b : t.byte_of) b = -1;
  uint16_t next = 256;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b != 0xad);
    t.of_byte[size_t(b)] = printable ? uint16_t(b) : next++;
    t.byte_of[t.of_byte[size_t(b)]] = int16_t(b);
  }
  return t;
}

constexpr Letters kLetters = make_letters();

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;  // sentencepiece writes capitals only
}

}  // namespace

char32_t byte_letter(uint8_t byte) noexcept { return kLetters.of_byte[byte]; }

std::string bytes_to_letters(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 4);
  for (const char b : bytes) {
    const uint16_t letter = kLetters.of_byte[uint8_t(b)];
    if (letter < 0x80) {
      out += char(letter);
    } else {
      out += char(0xc0 | letter >> 6);
      out += char(0x80 | (letter & 0x3f));
    }
  }
  return out;
}

bool append_letters(std::string& out, std::string_view letters) {
  const size_t before = out.size();
  for (size_t at = 0; at < letters.size();) {
    const auto lead = uint8_t(letters[at]);
    uint32_t code = lead;
    if (lead >= 0x80) {  // all letters lie below U+0144, so have two bytes
      code = at + 1 < letters.size() && (uint8_t(letters[at + 1]) & 0xc0) == 0x80 && lead >= 0xc2 && lead < 0xe0
                 ? (lead & 0x1fu) << 6 | (uint8_t(letters[at + 1]) & 0x3fu)
                 : 0;
    }
    if (code >= kLetters.byte_of.size() || kLetters.byte_of[code] < 0) {
      out.resize(before);
      return false;
    }
    out += char(kLetters.byte_of[code]);
    at += lead < 0x80 ? 1 : 2;
  }
  return true;
}

std::optional<std::string> letters_to_bytes(std::string_view letters) {
  std::string out;
  out.reserve(letters.size());
  if (!append_letters(out, letters)) return std::nullopt;
  return out;
}

int byte_token(std::string_view text) noexcept {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  const int high = hex_digit(text[3]), low = hex_digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

}  // namespace gale
