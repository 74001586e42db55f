#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "chat/chat_template.h"
#include "checkpoint/checkpoint.h"
#include "tokenizer/tokenizer.h"

namespace gale {

class GgufFile;

/// The vocabulary of a GGUF's metadata, with the defaults other engines assume. Throws Error{unsupported} naming a
/// tokenizer.ggml.model that is not known.
VocabSpec vocab_spec(const GgufFile& file);
/// From tokenizer.json, other files beside the weights, or GGUF metadata; nullptr where the checkpoint has neither.
std::unique_ptr<Tokenizer> open_tokenizer(const Checkpoint& checkpoint);
/// nullptr where there is none, or where it does not parse: that is warned of once, since text can be had without it.
std::unique_ptr<ChatTemplate> open_chat_template(const Checkpoint& checkpoint);
/// From a folder without weights: chat_template.jinja, or tokenizer_config.json. nullptr where neither has one; throws
/// Error{corrupt} with line and column where it does not parse.
std::unique_ptr<ChatTemplate> open_chat_template_files(const std::filesystem::path& folder);
/// Ids that end a text, ascending: those of generation_config, config and GGUF metadata; where none of these has any, and for a
/// GGUF that names no end of turn, special tokens of the usual names.
std::vector<int32_t> end_tokens(const Checkpoint& checkpoint, const Tokenizer* tokenizer, int64_t vocab);

}  // namespace gale
