#include "tokenizer/wordpiece.h"

#include <algorithm>

#include "base/fail.h"

namespace gale {

WordPiece::WordPiece(const WordPieceModel& model)
    : table_(model.texts, std::vector<uint8_t>(model.texts.size(), 1), PieceTable::last),
      trie_(model.texts),
      inside_(trie_.walk(Trie::kRoot, model.prefix)),
      unk_(model.unk),
      max_characters_(model.max_characters) {}

void WordPiece::encode(std::string_view word, ModelScratch& scratch, TokenSink& out) const {
  auto& pieces = scratch.symbols;
  pieces.clear();
  const auto begins = [](char c) { return (uint8_t(c) & 0xc0) != 0x80; };
  bool known = size_t(std::count_if(word.begin(), word.end(), begins)) <= max_characters_;
  for (size_t at = 0; known && at < word.size();) {
    Symbol longest{-1, 0};
    uint32_t node = at == 0 ? Trie::kRoot : inside_;
    size_t end = at;
    while (node != Trie::kNone && end < word.size()) {
      node = trie_.next(node, word[end++]);
      if (node != Trie::kNone && trie_.value(node) >= 0 && (end == word.size() || begins(word[end])))
        longest = {trie_.value(node), uint32_t(end - at)};
    }
    scratch.looked(end - at);
    known = longest.id >= 0;
    pieces.push_back(longest);
    at += longest.bytes;
  }
  if (!known) {
    require(unk_ >= 0, ErrorCode::invalid_argument,
            "the tokenizer has no tokens for the word '{}' and no unknown token; leave it out", word.substr(0, 80));
    return out.add(unk_, 0, word.size());
  }
  size_t at = 0;
  for (const Symbol p : pieces) {
    out.add(p.id, at, at + p.bytes);
    at += p.bytes;
  }
}

}  // namespace gale
