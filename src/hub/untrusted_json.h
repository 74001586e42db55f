#pragma once
#include <nlohmann/json.hpp>
#include <string_view>

namespace gale::hub {

/// JSON from outside. Its objects find a key in logarithmic time, where gale::Json compares with every one.
using UntrustedJson = nlohmann::json;

/// Reads an answer of a hub, or a file of a repository. Throws Error{corrupt} beyond 64 levels or two million values, which would
/// cost stack and memory; what is no JSON is discarded: is_discarded(), and no object. `where` names it.
UntrustedJson parse_untrusted(std::string_view text, std::string_view where);

}  // namespace gale::hub
