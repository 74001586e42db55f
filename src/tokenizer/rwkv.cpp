#include "tokenizer/rwkv.h"

#include <algorithm>
#include <cctype>

namespace gale {

void Rwkv::encode(std::string_view word, ModelScratch& scratch, TokenSink& out) const {
  for (size_t begin = 0; begin < word.size();) {
    TokenId best = unk_;
    size_t best_end = begin + 1;
    uint32_t node = Trie::kRoot;
    size_t end = begin;
    while (end < word.size() && (node = trie_.next(node, word[end])) != Trie::kNone) {
      ++end;
      if (trie_.value(node) >= 0) best = trie_.value(node), best_end = end;
    }
    scratch.looked(end - begin);
    out.add(best, begin, best_end);
    begin = best_end;
  }
}

std::string unescape_rwkv(std::string_view text) {
  const auto digit = [](char c) { return c >= 'a' ? c - 'a' + 10 : c >= 'A' ? c - 'A' + 10 : c - '0'; };
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\' || at + 1 == text.size()) {
      out += text[at];
      continue;
    }
    const char c = text[++at];
    const bool hex =
        c == 'x' && at + 2 < text.size() && std::isxdigit(uint8_t(text[at + 1])) && std::isxdigit(uint8_t(text[at + 2]));
    out += c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : hex ? char(digit(text[at + 1]) * 16 + digit(text[at + 2])) : c;
    if (hex) at += 2;
  }
  return out;
}

}  // namespace gale
