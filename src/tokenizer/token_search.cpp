#include "tokenizer/token_search.h"

#include <algorithm>

namespace gale {
namespace {

template <class Visit>
void for_each_piece(const Tokenizer& tokenizer, Visit visit) {
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id)
    if (const std::string_view piece = tokenizer.piece(id); !piece.empty() && !tokenizer.is_special(id)) visit(id, piece);
}

}  // namespace

std::vector<TokenId> tokens_containing(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<TokenId> out;
  if (text.empty()) return out;
  for_each_piece(tokenizer, [&](TokenId id, std::string_view piece) {
    if (piece.find(text) != std::string_view::npos) out.push_back(id);
  });
  return out;
}

std::vector<TokenOverlap> tokens_beginning(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<TokenOverlap> out;
  for_each_piece(tokenizer, [&](TokenId id, std::string_view piece) {
    for (size_t n = std::min(piece.size(), text.empty() ? 0 : text.size() - 1); n > 0; --n)
      if (piece.ends_with(text.substr(0, n))) out.push_back({id, n});
  });
  return out;
}

std::vector<TokenOverlap> tokens_continuing(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<TokenOverlap> out;
  for_each_piece(tokenizer, [&](TokenId id, std::string_view piece) {
    const size_t n = std::min(piece.size(), text.size());
    if (n > 0 && piece.substr(0, n) == text.substr(0, n)) out.push_back({id, n});
  });
  return out;
}

Healed heal(const Tokenizer& tokenizer, std::vector<TokenId> ids, size_t most) {
  Healed best{ids, ""};
  std::string text;
  for (size_t n = 0; n < most && !ids.empty() && !tokenizer.is_special(ids.back()); ++n) {
    const std::string_view piece = ids.size() == 1 ? tokenizer.first_piece(ids.back()) : tokenizer.piece(ids.back());
    text.insert(0, piece);
    ids.pop_back();
    bool longer = false;
    for_each_piece(tokenizer,
                   [&](TokenId, std::string_view other) { longer |= other.size() > text.size() && other.starts_with(text); });
    if (longer) best = {ids, text};
  }
  return best;
}

}  // namespace gale
