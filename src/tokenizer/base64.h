#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace gale {

/// The bytes of base64 text, '=' at its end or not; nullopt where another character is in it.
inline std::optional<std::string> from_base64(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
  };
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() * 3 / 4 + 3);
  unsigned bits = 0;
  int have = 0;
  for (const char c : text) {
    if (digit(c) < 0) return std::nullopt;
    bits = (bits << 6 | unsigned(digit(c))) & 0xffffffu;
    if ((have += 6) >= 8) out += char(bits >> (have -= 8));
  }
  return out;
}

}  // namespace gale
