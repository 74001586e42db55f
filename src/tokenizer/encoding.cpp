#include "tokenizer/encoding.h"

#include <algorithm>

#include "base/fail.h"

namespace gale {
namespace {

template <class T>
void keep_part(std::vector<T>& list, size_t n, bool last) {
  if (list.size() <= n) return;
  last ? list.erase(list.begin(), list.end() - long(n)) : list.erase(list.begin() + long(n), list.end());
}

template <class T>
void append_list(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

void fill(Encoding& e, size_t length, const Padding& how) {
  Encoding filling;
  for (size_t n = e.size(); n < length; ++n) filling.add(how.id, {}, how.type_id, true);
  filling.attention_mask.assign(filling.size(), 0);
  if (how.left) std::swap(e, filling);
  e.append(filling);
}

}  // namespace

void Encoding::append(const Encoding& other) {
  append_list(ids, other.ids);
  append_list(offsets, other.offsets);
  append_list(type_ids, other.type_ids);
  append_list(special_mask, other.special_mask);
  append_list(attention_mask, other.attention_mask);
}

void Encoding::keep(size_t n, bool last) {
  keep_part(ids, n, last);
  keep_part(offsets, n, last);
  keep_part(type_ids, n, last);
  keep_part(special_mask, n, last);
  keep_part(attention_mask, n, last);
}

void truncate(Encoding& text, Encoding* pair, size_t added, const Truncation& how) {
  const size_t room = how.max_length > added ? how.max_length - added : 0;
  const size_t total = text.size() + (pair != nullptr ? pair->size() : 0);
  if (total <= room) return;
  if (how.strategy == Truncation::Strategy::longest_first) {
    if (pair == nullptr) return text.keep(room, how.left);
    // The shorter one stays whole where that leaves the longer one at least as much; else each gets half.
    const bool swapped = text.size() > pair->size();
    size_t few = std::min(text.size(), pair->size()), many = few > room ? few : std::max(few, room - few);
    if (few + many > room) {
      few = room / 2;
      many = few + room % 2;
    }
    text.keep(swapped ? many : few, how.left);
    pair->keep(swapped ? few : many, how.left);
    return;
  }
  const bool second = how.strategy == Truncation::Strategy::only_second;
  Encoding* target = second ? pair : &text;
  const size_t excess = total - room;
  require(target != nullptr && target->size() > excess, ErrorCode::invalid_argument,
          "the {} text has too few tokens to be cut by {}; another truncation strategy or a larger max_length is needed",
          second ? "second" : "first", excess);
  target->keep(target->size() - excess, how.left);
}

void pad(std::vector<Encoding>& batch, const Padding& how) {
  size_t length = 0;
  for (const Encoding& e : batch) length = std::max(length, e.size());
  if (how.length) length = *how.length;
  if (how.multiple_of > 1) length = (length + how.multiple_of - 1) / how.multiple_of * how.multiple_of;
  for (Encoding& e : batch) fill(e, length, how);
}

}  // namespace gale
