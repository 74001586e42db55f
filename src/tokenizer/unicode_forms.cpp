#include "tokenizer/unicode_forms.h"

#include <algorithm>
#include <cstring>

#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace gale {
namespace {

constexpr char32_t kHangul = 0xac00, kLead = 0x1100, kVowel = 0x1161, kTail = 0x11a7;
constexpr char32_t kLeads = 19, kVowels = 21, kTails = 28, kSyllables = kLeads * kVowels * kTails;

uint32_t class_of(char32_t code) noexcept { return code < 0x300 ? 0 : unicode::value_of(unicode::combining_class(), code); }

void decompose(char32_t code, bool compat, std::vector<FormChar>& out) {
  if (code < 0xa0) return out.push_back({code, 0});
  if (code >= kHangul && code < kHangul + kSyllables) {
    const char32_t s = code - kHangul;
    out.push_back({kLead + s / (kVowels * kTails), 0});
    out.push_back({kVowel + s % (kVowels * kTails) / kTails, 1});
    if (s % kTails != 0) out.push_back({kTail + s % kTails, 1});
    return;
  }
  const unicode::Decomposition* row = compat ? unicode::covering(unicode::compatible(), code) : nullptr;
  const bool other = row != nullptr;
  if (!other) row = unicode::covering(unicode::canonical(), code);
  if (row == nullptr) return out.push_back({code, 0});
  const auto all = other ? unicode::compatible_text() : unicode::canonical_text();
  const auto text = all.subspan(row->begin + (code - row->first) * row->size, row->size);
  for (size_t i = 0; i < text.size(); ++i) out.push_back({text[i], i > 0});
}

// Sorts each run of combining marks by its class, marks of one class in their old order.
void order_marks(std::vector<FormChar>& text) {
  struct Mark {
    uint32_t order;
    size_t at;
    FormChar c;
  };
  std::vector<Mark> marks;
  for (size_t i = 0; i < text.size(); ++i) {
    uint32_t order = class_of(text[i].code);
    if (order == 0) continue;
    marks.clear();
    const size_t begin = i;
    for (; i < text.size() && (order = class_of(text[i].code)) != 0; ++i) marks.push_back({order, i, text[i]});
    std::ranges::sort(marks, {}, [](const Mark& m) { return std::pair(m.order, m.at); });
    for (size_t k = 0; k < marks.size(); ++k) text[begin + k] = marks[k].c;
  }
}

// The one character that two make together, or 0.
char32_t composed(char32_t left, char32_t right) noexcept {
  if (left >= kLead && left < kLead + kLeads && right >= kVowel && right < kVowel + kVowels)
    return kHangul + ((left - kLead) * kVowels + (right - kVowel)) * kTails;
  if (left >= kHangul && left < kHangul + kSyllables && (left - kHangul) % kTails == 0 && right > kTail && right < kTail + kTails)
    return left + (right - kTail);
  const auto table = unicode::composition();
  const auto at =
      std::lower_bound(table.begin(), table.end(), std::pair(left, right), [](const unicode::Composition& c, auto pair) {
        return c.left != pair.first ? c.left < pair.first : c.right < pair.second;
      });
  return at == table.end() || at->left != left || at->right != right ? 0 : at->whole;
}

// Joins each base with the marks after it that are not blocked by a mark of the same class.
void compose_marks(std::vector<FormChar>& text) {
  size_t out = 0, base = std::string::npos;
  uint32_t last = 0;  // class of the mark before, 0 right after the base
  for (const FormChar c : std::vector<FormChar>(text)) {
    const uint32_t order = class_of(c.code);
    if (base != std::string::npos && (last == 0 || last < order)) {
      if (const char32_t whole = composed(text[base].code, c.code); whole != 0) {
        text[base] = {whole, text[base].change + c.change - 1};
        continue;
      }
    }
    if (order == 0) base = out;
    last = order;
    text[out++] = c;
  }
  text.resize(out);
}

}  // namespace

bool is_ascii(std::string_view text) noexcept {
  size_t at = 0;
  for (uint64_t word; at + 8 <= text.size(); at += 8) {
    std::memcpy(&word, text.data() + at, 8);
    if ((word & 0x8080808080808080ull) != 0) return false;
  }
  return std::all_of(text.begin() + long(at), text.end(), [](char c) { return uint8_t(c) < 0x80; });
}

std::vector<FormChar> unicode_form(std::string_view text, bool compose, bool compat) {
  std::vector<FormChar> out;
  out.reserve(text.size());
  for (size_t at = 0, length; at < text.size(); at += length) decompose(utf8_next(text, at, length), compat, out);
  order_marks(out);
  if (compose) compose_marks(out);
  return out;
}

char32_t to_lower(char32_t code) noexcept {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  const unicode::Mapping* row = unicode::covering(unicode::lower(), code);
  return row == nullptr || (code - row->first) % char32_t(row->stride) != 0 ? code : char32_t(int64_t(code) + row->distance);
}

}  // namespace gale
