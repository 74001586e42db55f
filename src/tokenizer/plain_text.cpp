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

// With `token`, or with what may become it once something else stands behind.
bool begins(std::string_view text, std::string_view token) { return text.starts_with(token) || token.starts_with(text); }

}  // namespace

PlainText::PlainText(const Tokenizer& tokenizer, std::string_view template_source) : tokenizer_(tokenizer) {
  for (const TokenId id : tokenizer.added_tokens()) {
    std::string text = tokenizer.token_text(id);
    if (!text.empty() && (tokenizer.is_special(id) || template_source.find(text) != std::string_view::npos))
      guarded_.push_back(std::move(text));
  }
}

std::string PlainText::guard(std::string_view content) const {
  std::array<bool, 256> starts{};
  for (const std::string& s : guarded_) starts[uint8_t(s[0])] = true;
  std::string out;
  split(
      content,
      [&](std::string_view part) {
        for (size_t at = 0; at < part.size(); ++at) {
          out += part[at];
          // The mark goes behind the special token's first character.
          const bool special =
              starts[uint8_t(part[at])] &&
              std::any_of(guarded_.begin(), guarded_.end(), [&](const std::string& s) { return begins(part.substr(at), s); });
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
