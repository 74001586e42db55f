#include "engine/template_sources.h"

#include <algorithm>

#include "base/fail.h"
#include "base/file.h"
#include "base/json.h"
#include "base/parse_json.h"
#include "checkpoint/gguf.h"
#include "checkpoint/packed_file.h"

namespace gale {
namespace {

namespace fs = std::filesystem;

/// "chat_template" as a string, a list of {name, template}, or an object of templates by name.
std::vector<NamedTemplate> named_templates(const Json& config) {
  std::vector<NamedTemplate> out;
  const auto found = config.is_object() ? config.find("chat_template") : config.end();
  if (!config.is_object() || found == config.end()) return out;
  if (found->is_string()) out.push_back({"default", found->get<std::string>()});
  if (found->is_object())
    for (const auto& [name, text] : found->items())
      if (text.is_string()) out.push_back({name, text.get<std::string>()});
  if (found->is_array())
    for (const Json& entry : *found)
      if (entry.is_object() && entry.contains("name") && entry["name"].is_string() && entry.contains("template") &&
          entry["template"].is_string())
        out.push_back({entry["name"].get<std::string>(), entry["template"].get<std::string>()});
  return out;
}

std::vector<NamedTemplate> from_json_file(const fs::path& file) {
  std::error_code none;
  if (!fs::is_regular_file(file, none)) return {};
  return named_templates(parse_json_text(read_text(file), file.string()));
}

std::vector<NamedTemplate> from_jinja_files(const fs::path& folder) {
  std::vector<NamedTemplate> out;
  std::error_code none;
  if (fs::is_regular_file(folder / "chat_template.jinja", none))
    out.push_back({"default", read_text(folder / "chat_template.jinja")});
  for (const auto& entry : fs::directory_iterator(folder / "additional_chat_templates", none))
    if (entry.path().extension() == ".jinja") out.push_back({entry.path().stem().string(), read_text(entry.path())});
  return out;
}

std::vector<NamedTemplate> from_gguf(const GgufFile& file) {
  std::vector<NamedTemplate> out;
  if (const auto* text = file.text("tokenizer.chat_template")) out.push_back({"default", *text});
  if (const auto* names = file.texts("tokenizer.chat_templates"))
    for (const std::string& name : *names)
      if (const auto* text = file.text("tokenizer.chat_template." + name)) out.push_back({name, *text});
  return out;
}

}  // namespace

std::vector<NamedTemplate> template_sources(const Checkpoint& checkpoint) {
  if (const GgufFile* file = checkpoint.gguf()) return from_gguf(*file);
  std::vector<NamedTemplate> out;
  if (const auto* packed = checkpoint.packed()) {
    const std::string where = checkpoint.path().string() + ": chat_template.json";
    if (const auto text = packed->text("chat_template.json")) out = named_templates(parse_json_text(*text, where));
  } else {
    std::error_code none;
    const fs::path& path = checkpoint.path();
    const fs::path folder = fs::is_directory(path, none) ? path : path.parent_path();
    out = from_json_file(folder / "processor_config.json");
    if (out.empty()) out = from_jinja_files(folder);
    if (out.empty()) out = named_templates(checkpoint.tokenizer_config());
    if (out.empty()) out = from_json_file(folder / "chat_template.json");
  }
  if (out.empty())
    if (const auto text = checkpoint.chat_template()) out.push_back({"default", *text});
  return out;
}

std::vector<NamedTemplate> read_template_file(const fs::path& file) {
  require(fs::is_regular_file(file), ErrorCode::not_found, "{}: there is no such chat template", file.string());
  if (file.extension() != ".json") return {{"default", read_text(file)}};
  auto out = from_json_file(file);
  require(!out.empty(), ErrorCode::corrupt,
          "{}: expected an object with \"chat_template\": a string, or a list of {{name, template}}", file.string());
  return out;
}

Json template_variables(const Checkpoint& checkpoint) {
  // transformers leaves undefined what a folder does not have; other engines give a GGUF's templates empty texts.
  Json out = Json::object();
  for (const auto& [name, text] : {std::pair("bos_token", checkpoint.bos_token()), {"eos_token", checkpoint.eos_token()}})
    if (!text.empty() || checkpoint.gguf() != nullptr) out[name] = text;
  if (!checkpoint.tokenizer_config().is_object()) return out;
  for (const auto& [name, value] : checkpoint.tokenizer_config().items()) {
    if (!name.ends_with("_token") || out.contains(name)) continue;
    const Json& text = value.is_object() && value.contains("content") ? value["content"] : value;
    if (text.is_string()) out[name] = text;
  }
  return out;
}

}  // namespace gale
