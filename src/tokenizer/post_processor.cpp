#include "tokenizer/post_processor.h"

#include "tokenizer/utf8.h"

namespace gale {

void trim_offset(std::string_view whole, size_t leading, size_t trailing, uint32_t& begin, uint32_t& end) {
  const std::string_view text = whole.substr(0, end);
  for (; leading > 0 && begin < end; --leading) begin += utf8_at(text, begin).length;
  for (; trailing > 0 && begin < end; --trailing) end -= utf8_before(text, end).length;
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
  return n;
}

Encoding PostProcessor::apply(const Encoding& text, const Encoding* second, bool add_special) const {
  Encoding out;
  for (const TemplateItem& item : second != nullptr ? pair : single) {
    if (item.kind == TemplateItem::tokens) {
      for (const TokenId id : item.ids)
        if (add_special) out.add(id, {}, item.type_id, true);
      continue;
    }
    const bool is_second = item.kind == TemplateItem::second_text;
    if (is_second && second == nullptr) continue;
    const size_t begin = out.size();
    out.append(is_second ? *second : text);
    const int32_t type = add_special || types_without_special ? item.type_id : int32_t(is_second);
    for (size_t i = begin; i < out.size(); ++i) out.type_ids[i] = no_types ? 0 : type;
  }
  return out;
}

}  // namespace gale
