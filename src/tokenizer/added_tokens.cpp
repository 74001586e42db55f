#include "tokenizer/added_tokens.h"

#include <algorithm>

#include "base/fail.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

constexpr size_t kMaxContent = size_t(1) << 16;  // what Trie takes

std::vector<uint32_t> wanted_last(const std::vector<AddedToken>& tokens) {
  std::vector<uint32_t> out;
  for (const bool special : {false, true})
    for (size_t t = tokens.size(); t-- > 0;)
      if (tokens[t].special == special) out.push_back(uint32_t(t));
  return out;
}

AhoCorasick backwards(const std::vector<AddedToken>& tokens, const std::vector<uint32_t>& order) {
  std::vector<std::string> texts;
  texts.reserve(order.size());
  for (const uint32_t t : order) {
    const AddedToken& token = tokens[t];
    require(token.content.size() <= kMaxContent, ErrorCode::unsupported,
            "added token {} is {} bytes long; Gale looks for tokens of at most {} bytes", token.id, token.content.size(),
            kMaxContent);
    texts.emplace_back(token.content.rbegin(), token.content.rend());
  }
  return AhoCorasick(std::vector<std::string_view>(texts.begin(), texts.end()));
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)), order_(wanted_last(tokens_)), backwards_(backwards(tokens_, order_)) {}

// Read from the end, a text's longest token at each place is known from the bytes behind it alone.
std::vector<AddedTokenFinder::Place> AddedTokenFinder::find(std::string_view text) const {
  std::vector<Place> out;
  if (empty()) return out;
  uint32_t state = Trie::kRoot;
  for (size_t at = text.size(); at > 0;) {
    while (state == Trie::kRoot && at > 0 && !backwards_.begins(text[at - 1])) --at;
    if (at == 0) break;
    state = backwards_.next(state, text[--at]);
    if (const uint32_t whole = backwards_.ending(state); whole != Trie::kRoot)
      out.push_back({uint32_t(at), order_[size_t(backwards_.value(whole))]});
  }
  return out;
}

bool AddedTokenFinder::accepts(const AddedToken& token, std::string_view text, size_t begin, size_t end) {
  if (!token.single_word) return true;
  const auto word = [](Utf8Char c) { return c.kind == Utf8Char::valid && is_word(c.code); };
  return !(begin > 0 && word(utf8_before(text, begin))) && !(end < text.size() && word(utf8_at(text, end)));
}

void AddedTokenFinder::stretch(const AddedToken& token, std::string_view text, size_t done, size_t& begin, size_t& end,
                               Spaces& spaces) {
  while (token.lstrip && begin > done) {
    const Utf8Char c = utf8_before(text, begin);
    if (c.kind != Utf8Char::valid || !is_space(c.code) || begin - c.length < done) break;
    begin -= c.length;
  }
  if (token.lstrip) begin = std::min(std::max(begin, done), end);  // what a token before took along it cannot take again
  if (!token.rstrip) return;
  if (end < spaces.begin || end > spaces.end) {
    spaces = {end, end};
    while (spaces.end < text.size()) {
      const Utf8Char c = utf8_at(text, spaces.end);
      if (c.kind != Utf8Char::valid || !is_space(c.code)) break;
      spaces.end += c.length;
    }
  }
  end = spaces.end;
}

}  // namespace gale
