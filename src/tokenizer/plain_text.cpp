#include "tokenizer/plain_text.h"

#include <algorithm>

#include "tokenizer/utf8.h"

namespace gale {
namespace {

constexpr std::string_view kMark = "\xef\xb7\x90", kReplacement = "\xef\xbf\xbd";

// Calls text(part) for what lies between marks and mark() for each of them.
template <class Text, class Mark>
void split(std::string_view prompt, Text text, Mark mark) {
  for (size_t at; (at = prompt.find(kMark)) != std::string_view::npos; prompt.remove_prefix(at + kMark.size())) {
    text(prompt.substr(0, at));
    mark();
  }
  text(prompt);
}

std::string reversed(std::string_view text) { return {text.rbegin(), text.rend()}; }

AhoCorasick finder(const std::vector<std::string>& texts) {
  return AhoCorasick(std::vector<std::string_view>(texts.begin(), texts.end()));
}

// By text: whether it stands somewhere in `source`.
std::vector<bool> occurring(const std::vector<std::string>& texts, std::string_view source) {
  std::vector<bool> out(texts.size());
  const AhoCorasick all = finder(texts);
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

// Behind the first character of a token that begins at `at`.
size_t mark_place(std::string_view part, size_t at) {
  do ++at;
  while (at < part.size() && (uint8_t(part[at]) & 0xc0) == 0x80);
  return at;
}

bool is_blank(std::string_view text) {
  constexpr char32_t kWordMark = 0x2581;  // a space in sentencepiece's vocabularies
  size_t length;
  for (size_t at = 0; at < text.size(); at += length)
    if (const char32_t code = utf8_next(text, at, length); !is_space(code) && code != kWordMark) return false;
  return true;
}

}  // namespace

PlainText::PlainText(const Tokenizer& tokenizer, std::string_view template_source) : tokenizer_(tokenizer) {
  const std::vector<TokenId> added = tokenizer.added_tokens();
  std::vector<std::string> texts, guarded;
  for (const TokenId id : added) texts.push_back(tokenizer.token_text(id));
  std::vector<bool> named = occurring(texts, template_source);
  guarded_.resize(size_t(tokenizer.vocab_size()));
  added_.resize(guarded_.size());
  if (tokenizer.finds_rewritten())
    for (const TokenId id : tokenizer.encode(template_source, {.add_special = false})) guarded_[size_t(id)] = true;
  for (size_t i = 0; i < added.size(); ++i) {
    const auto id = size_t(added[i]);
    added_[id] = true;
    guarded_[id] = tokenizer.is_special(added[i]) || ((named[i] || guarded_[id]) && !is_blank(texts[i]));
    if (guarded_[id]) guarded.push_back(std::move(texts[i]));
  }
  forwards_ = finder(guarded);
  constexpr size_t kMostBytes = 4;  // of a character that becomes one byte
  for (const std::string& text : guarded) unfinished_ = std::max(unfinished_, kMostBytes * text.size());
  for (std::string& text : guarded) text = reversed(text);
  backwards_ = finder(guarded);
}

void PlainText::mark_tokens(std::string_view part, std::vector<bool>& begins) const {
  uint32_t state = Trie::kRoot;
  for (size_t at = part.size(); at-- > 0;) {
    state = backwards_.next(state, part[at]);
    begins[at] = backwards_.ending(state) != Trie::kRoot;
  }
  state = Trie::kRoot;
  for (const char byte : part) state = forwards_.next(state, byte);
  for (; state != Trie::kRoot; state = forwards_.shorter(state)) begins[part.size() - forwards_.depth(state)] = true;
}

// What only becomes a token once it is rewritten, such as "<|USER|>" in small letters, is found by encoding it. A token can hide
// others that begin inside it, so that this goes on until there is none. A space stands before the part, as vocabularies that
// mark words know their tokens by it.
void PlainText::mark_rewritten(std::string_view part, std::vector<bool>& begins) const {
  const std::string text = " " + std::string(part);
  Encoding e;
  for (bool found = true; found;) {
    found = false;
    std::vector<size_t> marks;  // as guard() will set them
    for (size_t at = 0; at < part.size(); ++at)
      if (begins[at]) marks.push_back(1 + mark_place(part, at));
    e = tokenizer_.encode_aligned(text, {}, {.add_special = false, .plain_at = marks});
    for (size_t i = 0; i < e.size(); ++i) {
      if (!guarded_[size_t(e.ids[i])]) continue;
      for (size_t at = std::max<size_t>(e.offsets[i].begin, 1); at < e.offsets[i].end; ++at) {
        if ((uint8_t(text[at]) & 0xc0) == 0x80 || begins[at - 1]) continue;
        begins[at - 1] = found = true;
      }
    }
  }
  // What rewriting makes of an unfinished one is not known: the last characters are marked where none of the others is.
  std::vector<bool> others(text.size());
  for (size_t i = 0; i < e.size(); ++i)
    if (added_[size_t(e.ids[i])]) std::fill(others.begin() + e.offsets[i].begin, others.begin() + e.offsets[i].end, true);
  for (size_t at = part.size() - std::min(part.size(), unfinished_), length; at < part.size(); ++at)
    if (!others[at + 1] && (uint8_t(part[at]) & 0xc0) != 0x80 && !is_space(utf8_next(part, at, length))) begins[at] = true;
}

std::string PlainText::guard(std::string_view content) const {
  std::string out;
  const auto guard_part = [&](std::string_view part) {
    std::vector<bool> begins(part.size());  // a guarded token, or, at the part's end, what may become one
    mark_tokens(part, begins);
    if (tokenizer_.finds_rewritten()) mark_rewritten(part, begins);
    for (size_t at = 0; at < part.size();) {
      const size_t end = begins[at] ? mark_place(part, at) : at + 1;
      out += part.substr(at, end - at);
      if (begins[at]) out += kMark;
      at = end;
    }
  };
  split(content, guard_part, [&] { out += kReplacement; });
  return out;
}

std::string PlainText::without_marks(std::string_view prompt) {
  std::string out;
  split(prompt, [&](std::string_view part) { out += part; }, [] {});
  return out;
}

std::vector<TokenId> PlainText::encode(std::string_view prompt, EncodeOptions options) const {
  std::string text;
  std::vector<size_t> marks;
  split(prompt, [&](std::string_view part) { text += part; }, [&] { marks.push_back(text.size()); });
  options.plain_at = marks;
  return tokenizer_.encode(text, options);
}

}  // namespace gale
