#include "checkpoint/tokenizer_config.h"

#include "base/file.h"
#include "base/json.h"

namespace gale {

std::string config_token(const Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end()) return {};
  if (found->is_string()) return found->get<std::string>();
  if (found->is_object())
    if (const auto content = found->find("content"); content != found->end() && content->is_string())
      return content->get<std::string>();
  return {};
}

std::optional<std::string> chat_template_text(const Json& config, const std::filesystem::path& folder) {
  // transformers prefers the file, which newer versions write instead of the config's entry
  if (!folder.empty() && std::filesystem::exists(folder / "chat_template.jinja"))
    return read_text(folder / "chat_template.jinja");
  const auto found = config.find("chat_template");
  if (found == config.end()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_array()) return std::nullopt;
  for (const Json& entry : *found)
    if (entry.is_object() && (found->size() == 1 || (entry.contains("name") && entry["name"] == "default")))
      if (const auto text = entry.find("template"); text != entry.end() && text->is_string()) return text->get<std::string>();
  return std::nullopt;
}

}  // namespace gale
