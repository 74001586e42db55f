#include "tokenizer/charsmap.h"

#include <cstring>

#include "base/fail.h"
#include "tokenizer/base64.h"
#include "tokenizer/budget.h"
#include "tokenizer/unicode.h"

namespace gale {
namespace {

// Fields of a node of Darts' double array.
bool has_leaf(uint32_t node) noexcept { return ((node >> 8) & 1) != 0; }
uint32_t value(uint32_t node) noexcept { return node & 0x7fffffffu; }
uint32_t label(uint32_t node) noexcept { return node & 0x800000ffu; }
uint32_t offset(uint32_t node) noexcept { return (node >> 10) << ((node & 0x200u) >> 6); }

constexpr size_t kCluster = 6;  // longer clusters are looked up by character

size_t characters(std::string_view text) noexcept {
  size_t n = 0;
  for (const char c : text) n += (uint8_t(c) & 0xc0) != 0x80;
  return n;
}

// `text` in the place of the next `old` characters, whose counts are matched up from the left.
void put(Rewriter& out, std::string_view text, size_t old_bytes, size_t old) {
  const size_t now = characters(text);
  const size_t end = out.at() + old_bytes;
  size_t index = 0;
  for (size_t at = 0, length; at < text.size(); at += length, ++index) {
    length = utf8_length(text[at]);
    out.put(text.substr(at, length), now > old && index >= old ? 1 : 0);
  }
  if (out.at() < end) out.skip(end - out.at());
}

// Where characters at the start of a text go, the `tokenizers` package does not count them: the others have the origins of as
// many characters before them. `kept`: where the first one that stays begins.
void move_origins(SourceText& text, size_t kept) {
  if (!text.tracked || kept == 0) return;
  const std::vector<Origin> origins = text.origins;
  for (size_t from = 0, at = kept; at < text.bytes.size(); from += utf8_length(text.bytes[from]))
    for (size_t left = utf8_length(text.bytes[at]); left > 0 && at < text.bytes.size(); --left)
      text.origins[at++] = origins[from];
}

// Characters replaced and kept one after the other, with the origins that the `tokenizers` package gives them.
class Placer {
 public:
  explicit Placer(SourceText& text) : text_(text), out_(text) {}

  void replace(size_t bytes, std::string_view by) {
    const size_t old = characters(std::string_view(text_.bytes).substr(out_.at(), bytes));
    if (by.empty()) {
      if (more_) out_.take_next();  // a character that was put in stands for the next one that goes
      out_.skip(bytes);
    } else {
      start();
      put(out_, by, bytes, old);
    }
    more_ = characters(by) > old;
  }
  void keep(size_t bytes) {
    start();
    out_.copy(bytes);
    more_ = false;
  }
  size_t at() const { return out_.at(); }
  size_t size() const { return out_.size(); }
  void finish() { out_.finish(); }

 private:
  void start() {
    if (out_.size() == 0) move_origins(text_, out_.at());
  }

  SourceText& text_;
  Rewriter out_;
  bool more_ = false;  // the last text put in has more characters than it replaced
};

bool joins(char32_t before, char32_t after) noexcept {
  using enum unicode::Grapheme;
  if (before == control || after == control) return false;
  if (after == extend || after == spacing_mark || before == prepend) return true;
  if (before == jamo_l) return after == jamo_l || after == jamo_v || after == jamo_lv || after == jamo_lvt;
  if (before == jamo_v || before == jamo_lv) return after == jamo_v || after == jamo_t;
  return (before == jamo_t || before == jamo_lvt) && after == jamo_t;
}

}  // namespace

// Clusters of regional indicators and of joined emoji are not put together: they have 6 bytes and more either way.
size_t grapheme_length(std::string_view text) noexcept {
  if (text.starts_with("\r\n")) return 2;
  size_t at = 0, length;
  char32_t before = unicode::value_of(unicode::grapheme(), utf8_next(text, 0, length));
  for (at = length; at < text.size(); at += length) {
    const char32_t code = utf8_next(text, at, length);
    const char32_t after = code >= ' ' && code < 0x7f ? char32_t(unicode::other) : unicode::value_of(unicode::grapheme(), code);
    if (!joins(before, after)) break;
    before = after;
  }
  return at;
}

CharsMap::CharsMap(std::string_view blob, std::string_view where) : blob_(blob) {
  uint32_t size = 0;
  require(blob_.size() >= 4, ErrorCode::corrupt, "{}: a charsmap of {} bytes", where, blob_.size());
  std::memcpy(&size, blob_.data(), 4);
  require(size % 4 == 0 && size <= blob_.size() - 4, ErrorCode::corrupt, "{}: a charsmap of {} bytes with a trie of {} bytes",
          where, blob_.size(), size);
  trie_.resize(size / 4);
  if (size > 0) std::memcpy(trie_.data(), blob_.data() + 4, size);
  texts_at_ = 4 + size;
  const std::string_view texts = std::string_view(blob_).substr(texts_at_);
  require(texts.empty() || texts.back() == '\0', ErrorCode::corrupt, "{}: the last text of the charsmap has no end", where);
  require(valid_prefix(texts) == texts.size(), ErrorCode::corrupt, "{}: the charsmap's texts are not UTF-8", where);
}

CharsMap CharsMap::from_base64(std::string_view text, std::string_view where) {
  const std::optional<std::string> bytes = gale::from_base64(text);
  require(bytes.has_value(), ErrorCode::corrupt, "{}: the charsmap is not base64", where);
  return CharsMap(*bytes, where);
}

std::string_view CharsMap::text_at(uint32_t offset) const {
  const std::string_view texts = std::string_view(blob_).substr(texts_at_);
  if (offset >= texts.size()) return {};
  // An offset into the middle of a character is a malformed file's; the rest of the character is passed over.
  while (offset < texts.size() && (uint8_t(texts[offset]) & 0xc0) == 0x80) ++offset;
  return texts.substr(offset, texts.find('\0', offset) - offset);
}

CharsMap::Found CharsMap::find(std::string_view text, bool longest) const {
  Found found;
  if (trie_.empty()) return found;
  uint32_t at = offset(trie_[0]);
  for (size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    at ^= uint8_t(text[i]);
    if (at >= trie_.size() || label(trie_[at]) != uint8_t(text[i])) break;
    const uint32_t node = trie_[at];
    at ^= offset(node);
    if (!has_leaf(node) || at >= trie_.size()) continue;
    found = {i + 1, text_at(value(trie_[at]))};
    if (!longest) break;
  }
  return found;
}

CharsMap::Found CharsMap::longest(std::string_view text) const {
  const Found f = find(text, true);
  return f.length == text.size() || (uint8_t(text[f.length]) & 0xc0) != 0x80 ? f : Found{};
}

void CharsMap::apply(SourceText& text, Match match, size_t limit) const {
  match == Match::longest ? apply_longest(text, limit) : apply_clusters(text, limit);
}

void CharsMap::apply_longest(SourceText& text, size_t limit) const {
  Rewriter out(text);
  const std::string_view bytes = text.bytes;
  while (out.at() < bytes.size()) {
    const std::string_view rest = bytes.substr(out.at());
    const Found f = longest(rest);
    f.length > 0 ? put(out, f.text, f.length, characters(rest.substr(0, f.length))) : out.copy(utf8_length(rest[0]));
    check_growth(out.size(), limit);
  }
  out.finish();
}

void CharsMap::apply_clusters(SourceText& text, size_t limit) const {
  Placer out(text);
  const std::string_view bytes = text.bytes;
  while (out.at() < bytes.size()) {
    const size_t cluster = grapheme_length(bytes.substr(out.at()));
    if (cluster < kCluster) {
      if (const Found f = find(bytes.substr(out.at(), cluster), false); f.length > 0) {
        out.replace(cluster, f.text);
        check_growth(out.size(), limit);
        continue;
      }
    }
    for (const size_t end = out.at() + cluster; out.at() < end;) {
      const size_t length = utf8_length(bytes[out.at()]);
      const Found f = find(bytes.substr(out.at(), length), false);
      f.length > 0 ? out.replace(length, f.text) : out.keep(length);
      check_growth(out.size(), limit);
    }
  }
  out.finish();
}

}  // namespace gale
