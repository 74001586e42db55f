#include "tokenizer/sentencepiece_text.h"

#include "tokenizer/budget.h"

namespace gale {
namespace {

// Takes a text apart into what one rule each makes of its next characters.
class Chunks {
 public:
  Chunks(const SentencePieceRules& rules, std::string_view text) : rules_(rules), text_(text) {
    if (rules.symbols != nullptr) places_ = rules.symbols->find(text);
  }

  /// What stands at `at` for the next `bytes` bytes.
  std::string_view next(size_t at, size_t& bytes) {
    const std::string_view rest = text_.substr(at);
    while (!places_.empty() && places_.back().begin < at) places_.pop_back();
    if (!places_.empty() && places_.back().begin == at) {
      bytes = rules_.symbols->bytes(places_.back());
      return rest.substr(0, bytes);
    }
    if (rules_.charsmap != nullptr)
      if (const CharsMap::Found found = rules_.charsmap->longest(rest); found.length > 0) {
        bytes = found.length;
        return found.text;
      }
    bytes = utf8_length(rest[0]);
    return rest.substr(0, bytes);
  }

 private:
  const SentencePieceRules& rules_;
  std::string_view text_;
  std::vector<AddedTokenFinder::Place> places_;  // the next one last
};

size_t characters(std::string_view text) noexcept {
  size_t n = 0;
  for (const char c : text) n += (uint8_t(c) & 0xc0) != 0x80;
  return n;
}

void insert_at(SourceText& text, size_t at, std::string_view what) {
  const Origin there = text.origins.empty() ? Origin{text.start, text.start} : text.origins[at > 0 ? at - 1 : 0];
  text.bytes.insert(at, what);
  if (text.tracked) text.origins.insert(text.origins.begin() + long(at), what.size(), there);
}

}  // namespace

void SentencePieceRules::apply(SourceText& text, size_t limit) const {
  if (text.bytes.empty()) return;
  const std::string_view space = marks ? "\xe2\x96\x81" : " ";
  const std::string input = text.bytes;
  Chunks chunks(*this, input);
  Rewriter out(text);
  size_t bytes = 0;
  while (collapse && out.at() < input.size() && chunks.next(out.at(), bytes) == " ") out.skip(bytes);
  if (out.at() == input.size()) return out.finish();  // nothing but spaces, and none is put in front of nothing
  bool after_space = collapse;
  while (out.at() < input.size()) {
    std::string_view chunk = chunks.next(out.at(), bytes);
    const size_t end = out.at() + bytes, old = characters(std::string_view(input).substr(out.at(), bytes));
    while (after_space && chunk.starts_with(' ')) chunk.remove_prefix(1);
    if (!chunk.empty()) after_space = collapse && chunk.back() == ' ';
    size_t index = 0;
    for (size_t at = 0, length; at < chunk.size(); at += length, ++index) {
      length = utf8_length(chunk[at]);
      const std::string_view character = chunk.substr(at, length);
      out.put(character == " " ? space : character, index < old ? 0 : 1);
    }
    if (out.at() < end) out.skip(end - out.at());
    check_growth(out.size(), limit);
  }
  out.finish();
  while (collapse && text.bytes.ends_with(space)) text.bytes.resize(text.bytes.size() - space.size());
  if (text.tracked) text.origins.resize(text.bytes.size());
  if (prefix && suffix) insert_at(text, text.bytes.size(), space);
  if (prefix && !suffix && !(collapse && text.bytes.empty())) insert_at(text, 0, space);  // else it is a space at the end
}

}  // namespace gale
