#include "tokenizer/post_processor.h"

#include <algorithm>

#include "base/fail.h"
#include "tokenizer/utf8.h"

namespace gale {

namespace {

// Takes so many characters of `whole` from either end of [begin, end), as far as there are so many.
void trim_offset(std::string_view whole, size_t leading, size_t trailing, uint32_t& begin, uint32_t& end) {
  const std::string_view text = whole.substr(0, end);
  for (; leading > 0 && begin < end; --leading) begin += utf8_at(text, begin).length;
  for (; trailing > 0 && begin < end; --trailing) end -= utf8_before(text, end).length;
}

}  // namespace

void PostProcessor::trim(std::string_view whole, Part& part) const {
  for (const Trim t : trims)
    for (size_t i = 0; i < part.encoding.size(); ++i) {
      auto& [begin, end] = part.encoding.offsets[i];
      Spaces spaces = part.spaces[i];
      if (spaces.leading == 1 && (i == 0 || begin == 0) && t.prefix_space) spaces.leading = 0;
      trim_offset(whole, spaces.leading, spaces.trailing, begin, end);
    }
}

bool PostProcessor::surrounds() const {
  return std::ranges::count_if(single, [](const TemplateItem& item) { return item.kind != TemplateItem::tokens; }) == 1 &&
         std::ranges::any_of(single, [](const TemplateItem& item) { return item.kind == TemplateItem::first_text; });
}

std::vector<TokenId> PostProcessor::prefix() const {
  std::vector<TokenId> out;
  for (const TemplateItem& item : single) {
    if (item.kind != TemplateItem::tokens) break;
    out.insert(out.end(), item.ids.begin(), item.ids.end());
  }
  return out;
}

std::vector<TokenId> PostProcessor::suffix() const {
  std::vector<TokenId> out;
  bool after = false;
  for (const TemplateItem& item : single) {
    if (after) out.insert(out.end(), item.ids.begin(), item.ids.end());
    after |= item.kind != TemplateItem::tokens;
  }
  return out;
}

size_t PostProcessor::added(bool has_pair) const {
  size_t n = 0;
  for (const TemplateItem& item : has_pair ? pair : single) n += item.ids.size();
  return (has_pair ? room_pair : room_single).value_or(n);
}

Encoding PostProcessor::apply_all(std::span<const Part> text, std::span<const Part> second, bool add_special) const {
  if (second.empty()) {
    Encoding out = apply(text[0], nullptr, add_special);
    for (const Part& window : text.subspan(1)) out.overflowing.push_back(apply(window, nullptr, add_special));
    return out;
  }
  Encoding out = apply(text[0], &second[0], add_special);
  for (size_t i = 1; i <= text.size(); ++i)  // the first one's own windows come last
    for (size_t j = i == text.size(); j < second.size(); ++j)
      out.overflowing.push_back(apply(text[i % text.size()], &second[j], add_special));
  return out;
}

Encoding PostProcessor::apply(const Part& text, const Part* second, bool add_special) const {
  Encoding out;
  const auto& items = add_special ? (second != nullptr ? pair : single) : second != nullptr ? plain_pair : plain_single;
  for (const TemplateItem& item : items) {
    require(item.kind != TemplateItem::broken, ErrorCode::invalid_argument,
            "the tokenizer's post-processors cannot follow each other: a TemplateProcessing takes one text or two, and the one "
            "before it makes more parts of them; encode without special tokens, or mend the tokenizer.json");
    if (item.kind == TemplateItem::tokens) {
      for (const TokenId id : item.ids) out.add(id, {}, item.type_id.value_or(0), item.marked);
      continue;
    }
    const bool is_second = item.kind == TemplateItem::second_text;
    require(!is_second || second != nullptr, ErrorCode::invalid_argument,
            "the tokenizer's post-processor asks for a second text even for a single one; give it two");
    const size_t begin = out.size();
    const Part& part = is_second ? *second : text;
    out.append(part.encoding);
    if (const std::optional<int32_t> type = part.cut_off ? item.cut_type_id : item.type_id)
      std::fill(out.type_ids.begin() + long(begin), out.type_ids.end(), *type);
  }
  return out;
}

}  // namespace gale
