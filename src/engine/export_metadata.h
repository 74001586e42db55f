#pragma once
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf.h"
#include "tokenizer/tokenizer.h"

namespace gale {

/// general.*: name, file_type of a quantization type or mix, quantization_version.
void set_general(GgufWriter& writer, const Checkpoint& source, std::string_view type);
/// tokenizer.*: those of a GGUF as they are; else from its tokenizer, if it has one, and its chat template.
/// Throws Error{unsupported} for a tokenizer GGUF cannot say.
void set_tokenizer(GgufWriter& writer, const Checkpoint& source);
/// tokenizer.ggml.* of a vocabulary, padded to the rows of the embedding as other engines insist.
void set_vocab(GgufWriter& writer, const VocabSpec& spec, int64_t rows);

}  // namespace gale
