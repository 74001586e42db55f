#include "tokenizer/added_tokens.h"

#include "base/fail.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

// Looking for the longest token costs its length at each place; real ones are far shorter.
constexpr size_t kMaxContent = 4096;

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)), token_at_(1, -1) {
  for (const bool special : {true, false})
    for (size_t t = 0; t < tokens_.size(); ++t)
      if (tokens_[t].special == special) add(int32_t(t));
}

void AddedTokenFinder::add(int32_t index) {
  const AddedToken& token = tokens_[size_t(index)];
  require(token.content.size() <= kMaxContent, ErrorCode::unsupported,
          "added token {} is {} bytes long; Gale looks for tokens of at most {} bytes", token.id, token.content.size(),
          kMaxContent);
  if (token.content.empty()) return;
  uint64_t node = 0;
  for (const char c : token.content) {
    const auto [edge, fresh] = edges_.try_emplace(node << 8 | uint8_t(c), uint32_t(token_at_.size()));
    if (fresh) token_at_.push_back(-1);
    node = edge->second;
  }
  starts_[uint8_t(token.content[0])] = 1;
  if (token_at_[node] < 0) token_at_[node] = index;
}

const AddedToken* AddedTokenFinder::find(std::string_view text, size_t from, size_t& begin, size_t& end) const {
  for (size_t at = from; at < text.size(); ++at) {
    if (!starts_[uint8_t(text[at])]) continue;
    uint64_t node = 0;
    int32_t found = -1;
    for (size_t i = at; i < text.size(); ++i) {
      const auto edge = edges_.find(node << 8 | uint8_t(text[i]));
      if (edge == edges_.end()) break;
      node = edge->second;
      if (token_at_[node] >= 0) found = token_at_[node], end = i + 1;
    }
    if (found >= 0) {
      begin = at;
      return &tokens_[size_t(found)];
    }
  }
  return nullptr;
}

bool AddedTokenFinder::accepts(const AddedToken& token, std::string_view text, size_t begin, size_t end) {
  if (!token.single_word) return true;
  const auto word = [](Utf8Char c) { return c.kind == Utf8Char::valid && is_word(c.code); };
  return !(begin > 0 && word(utf8_before(text, begin))) && !(end < text.size() && word(utf8_at(text, end)));
}

void AddedTokenFinder::stretch(const AddedToken& token, std::string_view text, size_t done, size_t& begin, size_t& end) {
  while (token.lstrip && begin > done) {
    const Utf8Char c = utf8_before(text, begin);
    if (c.kind != Utf8Char::valid || !is_space(c.code) || begin - c.length < done) break;
    begin -= c.length;
  }
  while (token.rstrip && end < text.size()) {
    const Utf8Char c = utf8_at(text, end);
    if (c.kind != Utf8Char::valid || !is_space(c.code)) break;
    end += c.length;
  }
}

}  // namespace gale
