#include "tokenizer/utf8.h"

#include <cstring>

#include "tokenizer/unicode.h"

namespace gale {

Utf8Char utf8_at(std::string_view text, size_t at) noexcept {
  const uint8_t lead = uint8_t(text[at]);
  if (lead < 0x80) return {lead, 1, Utf8Char::valid};
  if (lead < 0xc2 || lead > 0xf4) return {0xfffd, 1, Utf8Char::invalid};
  const int length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  uint32_t code = lead & (0xffu >> (length + 1));
  for (int i = 1; i < length; ++i) {
    if (at + i >= text.size()) return {0xfffd, uint8_t(i), Utf8Char::cut};
    const uint8_t byte = uint8_t(text[at + i]);
    if (byte < low || byte > high) return {0xfffd, uint8_t(i), Utf8Char::invalid};
    code = code << 6 | (byte & 0x3fu);
    low = 0x80, high = 0xbf;
  }
  return {code, uint8_t(length), Utf8Char::valid};
}

Utf8Char utf8_before(std::string_view text, size_t end) noexcept {
  for (size_t back = 1; back <= 4 && back <= end; ++back) {
    if ((uint8_t(text[end - back]) & 0xc0) == 0x80) continue;
    const Utf8Char c = utf8_at(text.substr(0, end), end - back);
    if (c.kind == Utf8Char::valid && c.length == back) return c;
    break;
  }
  return {0xfffd, 1, Utf8Char::invalid};
}

size_t valid_prefix(std::string_view text) noexcept {
  size_t at = 0;
  while (at < text.size()) {
    uint64_t word;
    while (at + 8 <= text.size() && (std::memcpy(&word, text.data() + at, 8), (word & 0x8080808080808080ull) == 0)) at += 8;
    if (at == text.size()) break;
    const Utf8Char c = utf8_at(text, at);
    if (c.kind != Utf8Char::valid) break;
    at += c.length;
  }
  return at;
}

size_t encode_utf8(uint32_t code, char* out) noexcept {
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) code = 0xfffd;
  if (code < 0x80) return out[0] = char(code), 1;
  const size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = length - 1; i > 0; --i, code >>= 6) out[i] = char(0x80 | (code & 0x3f));
  out[0] = char((length == 2 ? 0xc0 : length == 3 ? 0xe0 : 0xf0) | code);
  return length;
}

void append_utf8(std::string& out, uint32_t code) {
  char bytes[4];
  out.append(bytes, encode_utf8(code, bytes));
}

size_t append_lossy(std::string& out, std::string_view bytes, bool final) {
  size_t at = 0;
  while (at < bytes.size()) {
    const size_t run = valid_prefix(bytes.substr(at));
    out.append(bytes, at, run);
    at += run;
    if (at == bytes.size()) break;
    const Utf8Char wrong = utf8_at(bytes, at);
    if (wrong.kind == Utf8Char::cut && !final) break;
    out.append("\xef\xbf\xbd");
    at += wrong.length;
  }
  return at;
}

bool is_space(uint32_t c) noexcept {
  return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
         c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_word(uint32_t c) noexcept {
  if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  return unicode::contains(unicode::word(), c);
}

}  // namespace gale
