#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/bpe.h"

namespace gale {

/// True for the kinds of tokens that sentencepiece makes out of plain text.
bool merges_by_score(int32_t type) noexcept;

/// The rules that a sentencepiece BPE vocabulary implies: two neighbours merge where their joined text is a piece, higher scores
/// first, equal scores from the left. `texts` grows by characters that occur inside pieces without being pieces themselves;
/// `usable` grows along; what is added are views of the pieces. `bytes`: symbols are bytes, not characters. Throws
/// Error{unsupported} for pieces too long to be looked at from all sides.
std::vector<Merge> merges_from_scores(const std::vector<float>& scores, std::vector<std::string_view>& texts,
                                      std::vector<uint8_t>& usable, bool bytes = false);

}  // namespace gale
