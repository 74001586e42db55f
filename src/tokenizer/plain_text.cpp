#include "tokenizer/plain_text.h"

#include <algorithm>
#include <array>

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

}  // namespace

PlainText::PlainText(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id)
    if (tokenizer.is_special(id)) specials_.push_back(tokenizer.token_text(id));
  std::erase(specials_, "");
}

std::string PlainText::guard(std::string_view content) const {
  std::array<bool, 256> starts{};
  for (const std::string& s : specials_) starts[uint8_t(s[0])] = true;
  std::string out;
  split(
      content,
      [&](std::string_view part) {
        for (size_t at = 0; at < part.size(); ++at) {
          out += part[at];
          // The mark goes behind the special token's first character.
          const bool special =
              starts[uint8_t(part[at])] && std::any_of(specials_.begin(), specials_.end(),
                                                       [&](const std::string& s) { return part.substr(at).starts_with(s); });
          if (!special) continue;
          size_t end = at + 1;
          while (end < part.size() && (uint8_t(part[end]) & 0xc0) == 0x80) out += part[end++];
          out += kMark;
          at = end - 1;
        }
      },
      [&] { out += kReplacement; });
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
