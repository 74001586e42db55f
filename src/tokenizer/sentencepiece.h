#pragma once
#include <string_view>

#include "tokenizer/tokenizer.h"

namespace gale {

/// A sentencepiece .model file (protocol buffers) of type Unigram or BPE. The beginning of a text is added for BPE, its end for
/// Unigram, as the models that come with such files expect. Throws Error{corrupt} with the offset where the bytes make no sense
/// and Error{unsupported} for the types word and char.
VocabSpec read_sentencepiece(std::string_view file);

}  // namespace gale
