#pragma once
#include <string>
#include <string_view>

namespace gale {

/// An expression of Oniguruma's in PCRE2's words.
struct TranslatedRegex {
  std::string text;
  /// Classes are spelled out as the reference has them, so that the expression must see texts as they are. Else it asks PCRE2 for
  /// general categories, which is faster, and must see stand-ins for characters that PCRE2 may not know.
  bool exact = false;
};

/// Throws Error{unsupported} for what PCRE2 cannot say or the reference refuses. `where` names the pattern's place in messages.
/// `fixed_lookbehinds`: these become alternatives of a fixed length each; their groups cannot be referred to then.
TranslatedRegex translate_regex(std::string_view pattern, std::string_view where, bool fixed_lookbehinds = false);

}  // namespace gale
