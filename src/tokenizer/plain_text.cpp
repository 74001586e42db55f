#include "tokenizer/plain_text.h"

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

}  // namespace

PlainText::PlainText(const Tokenizer& tokenizer, std::string_view template_source) : tokenizer_(tokenizer) {
  std::vector<std::string> others, guarded;
  for (const TokenId id : tokenizer.added_tokens()) {
    std::string text = tokenizer.token_text(id);
    (tokenizer.is_special(id) ? guarded : others).push_back(std::move(text));
  }
  const std::vector<bool> named = occurring(others, template_source);
  for (size_t i = 0; i < others.size(); ++i)
    if (named[i]) guarded.push_back(std::move(others[i]));
  forwards_ = finder(guarded);
  for (std::string& text : guarded) text = reversed(text);
  backwards_ = finder(guarded);
}

std::string PlainText::guard(std::string_view content) const {
  std::string out;
  const auto guard_part = [&](std::string_view part) {
    std::vector<bool> begins(part.size());  // a guarded token, or, at the part's end, what may become one
    uint32_t state = Trie::kRoot;
    for (size_t at = part.size(); at-- > 0;) {
      state = backwards_.next(state, part[at]);
      begins[at] = backwards_.ending(state) != Trie::kRoot;
    }
    state = Trie::kRoot;
    for (const char byte : part) state = forwards_.next(state, byte);
    for (; state != Trie::kRoot; state = forwards_.shorter(state)) begins[part.size() - forwards_.depth(state)] = true;
    for (size_t at = 0; at < part.size();) {
      const bool marked = begins[at];
      out += part[at++];
      // The mark goes behind the token's first character.
      while (marked && at < part.size() && (uint8_t(part[at]) & 0xc0) == 0x80) out += part[at++];
      if (marked) out += kMark;
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
