#include "tokenizer/plain_text.h"

#include <string>

#include "tokenizer/aho_corasick.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

// By text: whether it stands somewhere in `source`.
std::vector<bool> occurring(const std::vector<std::string>& texts, std::string_view source) {
  std::vector<bool> out(texts.size());
  const AhoCorasick all(std::vector<std::string_view>(texts.begin(), texts.end()));
  uint32_t state = Trie::kRoot;
  for (const char byte : source) {
    state = all.next(state, byte);
    // What ends here too was seen with the first of them.
    for (uint32_t found = all.ending(state); found != Trie::kRoot && !out[size_t(all.value(found))];
         found = all.ending(all.shorter(found)))
      out[size_t(all.value(found))] = true;
  }
  return out;
}

bool is_blank(std::string_view text) {
  constexpr char32_t kWordMark = 0x2581;  // a space in sentencepiece's vocabularies
  size_t length;
  for (size_t at = 0; at < text.size(); at += length)
    if (const char32_t code = utf8_next(text, at, length); !is_space(code) && code != kWordMark) return false;
  return true;
}

}  // namespace

PlainText::PlainText(const Tokenizer& tokenizer, std::string_view template_source)
    : special_(size_t(tokenizer.vocab_size())), markers_(special_.size()) {
  const std::vector<TokenId> added = tokenizer.added_tokens();
  std::vector<std::string> texts;
  for (const TokenId id : added) texts.push_back(tokenizer.token_text(id));
  const std::vector<bool> named = occurring(texts, template_source);
  if (tokenizer.finds_rewritten())  // what the source says in other letters
    for (const TokenId id : tokenizer.encode(template_source, {.add_special = false})) markers_[size_t(id)] = true;
  for (size_t i = 0; i < added.size(); ++i) {
    const auto id = size_t(added[i]);
    special_[id] = tokenizer.is_special(added[i]);
    markers_[id] = special_[id] || ((named[i] || markers_[id]) && !is_blank(texts[i]));
  }
}

}  // namespace gale
