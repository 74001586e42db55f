#pragma once
#include <filesystem>
#include <string_view>

#include "base/json_fwd.h"

namespace gale {

/// A small JSON object from a file: a config. Throws Error{not_found}, or Error{corrupt} as parse_json_text does.
Json read_json(const std::filesystem::path& path);
/// The same from its text; `name` is for messages.
Json parse_json(std::string_view text, std::string_view name);

}  // namespace gale
