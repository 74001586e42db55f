#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja/value.h"

namespace gale::jinja {

enum class TokenKind : uint8_t { text, block_begin, block_end, print_begin, print_end, name, string, number, op, end };

struct Token {
  TokenKind kind;
  uint32_t at;       ///< byte offset in the source
  std::string text;  ///< text of the template, name, unescaped string, or the operator's signs
  Value number;      ///< INT64_MIN for 9223372036854775808 behind a minus
};

/// A template's text with its line breaks made "\n" and one final line break dropped, as jinja2 does.
std::string normalize_source(std::string_view source);

struct Place {
  size_t line, column;  ///< from 1; columns count bytes
};
Place place_of(std::string_view source, size_t at);
/// Throws Error{corrupt}: "chat template, line 3, column 7: ...".
[[noreturn]] void syntax_error(std::string_view source, size_t at, const std::string& what);

/// Splits a normalized source with trim_blocks and lstrip_blocks on. The last token is `end`. Throws Error{corrupt}.
std::vector<Token> tokenize(std::string_view source);

}  // namespace gale::jinja
