#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace gale {

/// What a look-behind looks for, as alternatives that have a fixed length each, which is what PCRE2 can look back over. `body` is
/// PCRE2's. What comes first need not be taken in full: "a+b" is behind where "ab" is. nullopt for texts of any length elsewhere,
/// for groups that are referred to or atomic, and for more than a few hundred alternatives.
std::optional<std::string> fixed_alternatives(std::string_view body);

}  // namespace gale
