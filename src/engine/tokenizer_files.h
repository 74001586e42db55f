#pragma once
#include <filesystem>
#include <memory>

#include "tokenizer/tokenizer.h"

namespace gale {

/// From a tokenizer.json, tekken.json, sentencepiece .model or tiktoken file, or from a folder that has one (in this order);
/// nullptr where there is none. Special tokens and the pattern of a tiktoken file come from the tokenizer_config.json beside it.
std::unique_ptr<Tokenizer> open_tokenizer_files(const std::filesystem::path& path);

}  // namespace gale
