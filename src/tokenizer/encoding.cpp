#include "tokenizer/encoding.h"

#include <algorithm>

#include "base/fail.h"

namespace gale {
namespace {

constexpr size_t kMostCut = size_t(1) << 26;  // tokens in all windows: a long stride makes many of them

template <class T>
std::vector<T> part_of(const std::vector<T>& list, size_t begin, size_t end) {
  return {list.begin() + long(begin), list.begin() + long(end)};
}

// All of `size` tokens in windows of `most`.
Windows windows(size_t size, size_t most, const Truncation& how) {
  if (size <= most) return {{0, size}};
  if (most == 0) return {{0, 0}, {0, size}};
  require(how.stride < most, ErrorCode::invalid_argument,
          "the truncation's stride of {} tokens leaves no room for new ones in a window of {}; a smaller stride or a larger "
          "max_length is needed",
          how.stride, most);
  const size_t step = most - how.stride, count = (size - most + step - 1) / step + 1;
  require(count <= kMostCut / most, ErrorCode::invalid_argument,
          "the truncation's stride of {} tokens makes {} windows of {}; a smaller stride is needed", how.stride, count, most);
  Windows out;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i * step, end = std::min(begin + most, size);
    how.left ? out.emplace_back(size - end, size - begin) : out.emplace_back(begin, end);
  }
  return out;
}

template <class T>
void append_list(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

void fill(Encoding& e, size_t length, const Padding& how) {
  Encoding filling;
  for (size_t n = e.size(); n < length; ++n) filling.add(how.id, {}, how.type_id, true);
  filling.attention_mask.assign(filling.size(), 0);
  if (how.left) {
    std::swap(e, filling);
    std::swap(e.overflowing, filling.overflowing);
  }
  e.append(filling);
  for (Encoding& window : e.overflowing) fill(window, length, how);
}

}  // namespace

void Encoding::append(const Encoding& other) {
  append_list(ids, other.ids);
  append_list(offsets, other.offsets);
  append_list(type_ids, other.type_ids);
  append_list(special_mask, other.special_mask);
  append_list(attention_mask, other.attention_mask);
}

Encoding Encoding::part(size_t begin, size_t end) const {
  return {part_of(ids, begin, end),          part_of(offsets, begin, end),        part_of(type_ids, begin, end),
          part_of(special_mask, begin, end), part_of(attention_mask, begin, end), {}};
}

Cut cut(size_t text, std::optional<size_t> pair, size_t added, const Truncation& how) {
  const auto to = [&](size_t first, size_t second) {
    return Cut{windows(text, first, how), pair ? windows(*pair, second, how) : Windows{}};
  };
  const size_t room = how.max_length > added ? how.max_length - added : 0;
  const size_t other = pair.value_or(0), total = text + other;
  if (total <= room) return to(text, other);
  if (room == 0) return to(0, 0);
  if (how.strategy == Truncation::Strategy::longest_first) {
    if (!pair) return to(room, 0);
    // The shorter one stays whole where that leaves the longer one at least as much; else each gets half.
    const bool swapped = text > other;
    size_t few = std::min(text, other), many = few > room ? few : std::max(few, room - few);
    if (few + many > room) {
      few = room / 2;
      many = few + room % 2;
    }
    return swapped ? to(many, few) : to(few, many);
  }
  const bool second = how.strategy == Truncation::Strategy::only_second;
  const size_t excess = total - room;
  require((second ? other : text) > excess, ErrorCode::invalid_argument,
          "the {} text has too few tokens to be cut by {}; another truncation strategy or a larger max_length is needed",
          second ? "second" : "first", excess);
  return second ? to(text, other - excess) : to(text - excess, other);
}

void pad(std::vector<Encoding>& batch, const Padding& how) {
  size_t length = 0;
  for (const Encoding& e : batch) length = std::max(length, e.size());
  if (how.length) length = *how.length;
  if (how.multiple_of > 1) length = (length + how.multiple_of - 1) / how.multiple_of * how.multiple_of;
  for (Encoding& e : batch) fill(e, length, how);
}

}  // namespace gale
