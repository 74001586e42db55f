#pragma once
#include <filesystem>
#include <vector>

#include "chat/chat_template.h"
#include "checkpoint/checkpoint.h"

namespace gale {

/// The chat templates that a checkpoint comes with, from the first of these that has one: processor_config.json,
/// chat_template.jinja (with additional_chat_templates/*.jinja), tokenizer_config.json, chat_template.json, a packed file, GGUF
/// metadata. Empty where none has.
std::vector<NamedTemplate> template_sources(const Checkpoint& checkpoint);

/// Those of a file: .json as tokenizer_config.json and chat_template.json have them, anything else is one template. Throws Error.
std::vector<NamedTemplate> read_template_file(const std::filesystem::path& file);

/// What templates see beside the messages: the special tokens of tokenizer_config.json ("unk_token": "<unk>").
Json template_variables(const Checkpoint& checkpoint);

}  // namespace gale
