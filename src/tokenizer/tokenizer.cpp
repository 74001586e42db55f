#include "tokenizer/tokenizer.h"

#include "tokenizer/utf8.h"

namespace gale {

std::string_view Tokenizer::first_piece(TokenId id) const {
  std::string_view text = piece(id);
  if (strips_leading_space() && text.starts_with(' ')) text.remove_prefix(1);
  return text;
}

std::string Tokenizer::decode(const std::vector<TokenId>& ids, bool with_special) const {
  std::string bytes, out;
  bool at_start = true;
  for (const TokenId id : ids) {
    if (!with_special && is_special(id)) continue;
    if (piece(id).empty()) continue;
    bytes += at_start ? first_piece(id) : piece(id);
    at_start = false;
  }
  append_lossy(out, bytes, true);
  return out;
}

}  // namespace gale
