#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"

namespace gale {

/// What a `tokenizer.ggml.pre` name stands for.
struct PreRecipe {
  std::vector<NormalizerStep> normalizer;
  std::vector<PreStep> steps;  ///< as a PreTokenizer holds them
  bool ignore_merges = false;
  bool drops_leading_space = false;
};

/// Whether Gale knows this name of a byte-level BPE.
bool knows_byte_bpe(std::string_view name);
/// The pattern by which this name cuts words, where it has just one. REQUIRES: a name of such.
std::string_view word_pattern(std::string_view name);
/// Byte-level BPE. Throws Error{unsupported} with the names Gale knows.
PreRecipe byte_bpe_recipe(std::string_view name);
/// sentencepiece BPE: GGUF has one form ("default", any other text is read as it), Gale adds names for Metaspace pre-tokenizers.
PreRecipe sentencepiece_recipe(std::string_view name, bool add_space_prefix);

/// The first name whose recipe does the same as these parts; nullopt where there is none.
std::optional<std::string> byte_bpe_name(const Normalizer& normalizer, const PreTokenizer& pre, bool ignore_merges);
/// Also says whether the form puts a space in front.
std::optional<std::string> sentencepiece_name(const Normalizer& normalizer, const PreTokenizer& pre, bool& add_space_prefix);

}  // namespace gale
