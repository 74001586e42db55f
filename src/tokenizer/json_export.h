#pragma once
#include <string>

#include "tokenizer/tokenizer.h"

namespace gale {

/// The vocabulary of a GGUF as the text of a tokenizer.json, which other libraries read. Throws Error{unsupported} for what is no
/// BPE, or has steps that such a file has no name for.
std::string tokenizer_json(const VocabSpec& spec);

}  // namespace gale
