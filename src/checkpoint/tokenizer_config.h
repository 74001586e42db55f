#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "base/json_fwd.h"

namespace gale {

/// A token of a tokenizer_config.json, "text" or {"content": "text", ...}; "" where there is none.
std::string config_token(const Json& config, const char* key);
/// The chat template: the folder's chat_template.jinja, else the config's "chat_template", a string or a list of {name, template}
/// of which "default" (or the only one) counts. `folder`: "" for none.
std::optional<std::string> chat_template_text(const Json& config, const std::filesystem::path& folder);

}  // namespace gale
