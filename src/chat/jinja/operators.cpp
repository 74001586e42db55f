#include "chat/jinja/operators.h"

#include <algorithm>

#include "chat/jinja/text.h"

namespace gale::jinja {

bool truth(const Value& v) {
  if (v.is_undefined() || v.is_none()) return false;
  if (v.is_int()) return v.integer() != 0;
  if (v.is_float()) return v.number() != 0;
  if (v.str()) return !v.str()->text.empty();
  if (v.seq()) return !v.seq()->items.empty();
  if (v.dict()) return v.dict()->size() != 0;
  return true;
}

namespace {

// Python's views of a dict's keys and items are sets, its values are equal to nothing else.
bool members_of(Heap& heap, const Seq& a, const Seq& b) {
  return std::all_of(a.items.begin(), a.items.end(), [&](const Value& v) {
    return std::any_of(b.items.begin(), b.items.end(), [&](const Value& w) { return equals(heap, v, w); });
  });
}

bool is_set(const Seq& s) { return s.kind == SeqKind::keys || s.kind == SeqKind::items; }

bool all_equal(Heap& heap, const Seq& a, const Seq& b) {
  if (a.items.size() != b.items.size()) return false;
  if (&a == &b) return true;
  if (is_set(a) && is_set(b)) return members_of(heap, a, b);
  if (a.kind != b.kind || a.kind == SeqKind::values) return false;
  heap.step(int64_t(a.items.size() / 8));  // for the elements that are the same
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!a.items[i].same_as(b.items[i]) && !equals(heap, a.items[i], b.items[i])) return false;
  }
  return true;
}

bool all_equal(Heap& heap, const Dict& a, const Dict& b) {
  if (a.size() != b.size()) return false;
  if (&a == &b) return true;
  for (const auto& [key, value] : a.items()) {
    heap.step(8);
    const Value* other = b.find(key);
    if (!other || (!value.same_as(*other) && !equals(heap, value, *other))) return false;
  }
  return true;
}

template <class T>
bool in_order(CompareOp op, const T& a, const T& b) {
  switch (op) {
    case CompareOp::less:
      return a < b;
    case CompareOp::less_equal:
      return a <= b;
    case CompareOp::greater:
      return a > b;
    default:
      return a >= b;
  }
}

const char* symbol(CompareOp op) {
  static constexpr const char* symbols[] = {"==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return symbols[size_t(op)];
}

/// Orders a and b where both are int, else as long double: exact for every int64 and double on the machines where it has 64 bits.
bool numbers_in_order(CompareOp op, const Value& a, const Value& b) {
  if (a.is_int() && b.is_int()) return in_order(op, a.integer(), b.integer());
  const auto wide = [](const Value& v) { return v.is_int() ? (long double)(v.integer()) : (long double)(v.number()); };
  return in_order(op, wide(a), wide(b));
}

}  // namespace

bool equals(Heap& heap, const Value& a, const Value& b) {
  heap.step();
  if (a.is_number() && b.is_number()) {
    if (a.is_int() && b.is_int()) return a.integer() == b.integer();
    return numbers_in_order(CompareOp::less_equal, a, b) && numbers_in_order(CompareOp::greater_equal, a, b);
  }
  if (a.str() && b.str()) {
    if (a.str()->text.size() != b.str()->text.size()) return false;
    heap.step(int64_t(a.str()->text.size() / 256));
    return a.str()->text == b.str()->text;
  }
  if (a.seq() && b.seq()) return all_equal(heap, *a.seq(), *b.seq());
  if (a.dict() && b.dict()) return all_equal(heap, *a.dict(), *b.dict());
  if (a.is_undefined()) return b.is_undefined();
  if (a.is_none()) return b.is_none();
  return a.object() && a.object() == b.object();
}

bool ordered(Heap& heap, CompareOp op, const Value& a, const Value& b) {
  heap.step(2);
  if (a.is_undefined()) a.raise_undefined();
  if (b.is_undefined()) b.raise_undefined();
  if (a.is_number() && b.is_number()) return numbers_in_order(op, a, b);
  if (a.str() && b.str()) {
    heap.step(int64_t(std::min(a.str()->text.size(), b.str()->text.size()) / 256));
    return in_order(op, a.str()->text.compare(b.str()->text), 0);
  }
  if (a.seq() && b.seq() && is_set(*a.seq()) && is_set(*b.seq())) {  // subsets
    const bool up = op == CompareOp::less || op == CompareOp::less_equal;
    const Seq &small = up ? *a.seq() : *b.seq(), &large = up ? *b.seq() : *a.seq();
    const bool proper = op == CompareOp::less || op == CompareOp::greater;
    return small.items.size() + (proper ? 1 : 0) <= large.items.size() && members_of(heap, small, large);
  }
  const bool sequences = a.seq() && b.seq() && a.seq()->kind == b.seq()->kind;
  if (!sequences || a.seq()->kind > SeqKind::tuple) {
    raise("'{}' not supported between instances of '{}' and '{}'", symbol(op), a.type_name(), b.type_name());
  }
  const auto& x = a.seq()->items;
  const auto& y = b.seq()->items;
  for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
    if (!equals(heap, x[i], y[i])) return ordered(heap, op, x[i], y[i]);
  }
  return in_order(op, x.size(), y.size());
}

bool compare(Heap& heap, CompareOp op, const Value& a, const Value& b) {
  switch (op) {
    case CompareOp::equal:
      return equals(heap, a, b);
    case CompareOp::not_equal:
      return !equals(heap, a, b);
    case CompareOp::in:
      return contains(heap, b, a);
    case CompareOp::not_in:
      return !contains(heap, b, a);
    default:
      return ordered(heap, op, a, b);
  }
}

bool contains(Heap& heap, const Value& container, const Value& item) {
  heap.step();
  if (const Str* s = container.str()) {
    if (!item.str()) raise("'in <string>' requires string as left operand, not {}", item.type_name());
    heap.step(search_cost(s->text, item.str()->text));
    return find_text(s->text, item.str()->text) != std::string::npos;
  }
  if (const Dict* d = container.dict()) return lookup(heap, *d, item) != nullptr;
  if (const Seq* s = container.seq()) {
    if (s->kind == SeqKind::keys) hash_key(item);  // as any lookup in a dict
    return std::any_of(s->items.begin(), s->items.end(),
                       [&](const Value& v) { return v.same_as(item) || equals(heap, v, item); });
  }
  if (container.object() && container.object()->iterable()) {
    while (const auto v = container.object()->next()) {
      if (v->same_as(item) || equals(heap, *v, item)) return true;
    }
    return false;
  }
  if (container.is_undefined()) return false;
  raise("argument of type '{}' is not iterable", container.type_name());
}

const Value* lookup(Heap& heap, const Dict& dict, const Value& key) {
  heap.step(key.str() ? int64_t(key.str()->text.size() / 64) : key.seq() ? 1000 : 1);  // the key is copied, a tuple as a text
  return dict.find(key);
}

std::optional<int64_t> length(Heap& heap, const Value& v) {
  if (const Str* s = v.str()) {
    heap.step(int64_t(s->text.size() / 64));
    return text_length(s->text);
  }
  if (v.seq()) return int64_t(v.seq()->items.size());
  if (v.dict()) return int64_t(v.dict()->size());
  if (v.is_undefined()) return 0;
  return std::nullopt;
}

bool is_iterable(const Value& v) {
  return v.str() || v.seq() || v.dict() || v.is_undefined() || (v.object() && v.object()->iterable());
}

std::vector<Value> iterate(Heap& heap, const Value& v) {
  std::vector<Value> out;
  if (const Seq* s = v.seq()) {
    heap.step(int64_t(s->items.size() / 8));
    heap.take(int64_t(s->items.size() * sizeof(Value)));
    return s->items;
  }
  if (const Str* s = v.str()) {
    heap.check_items(int64_t(s->text.size() / 4));
    for (const std::string_view c : text_characters(s->text)) {
      Str one = s->part(c);
      one.markup = false;  // of markup too
      out.push_back(heap.text(std::move(one)));
    }
    heap.step(int64_t(out.size()));
    return out;
  }
  if (const Dict* d = v.dict()) {
    heap.step(int64_t(d->size() / 8));
    for (const auto& item : d->items()) out.push_back(item.first);
    return out;
  }
  if (v.is_undefined()) return out;
  if (!v.object() || !v.object()->iterable()) raise("'{}' object is not iterable", v.type_name());
  while (auto item = v.object()->next()) {
    heap.step();
    out.push_back(std::move(*item));
  }
  return out;
}

Generator::Next cursor(Heap& heap, const Value& v) {
  if (const Seq* s = v.seq()) {
    return [keep = v, s, at = size_t(0), &heap]() mutable -> std::optional<Value> {
      heap.step();
      return at < s->items.size() ? std::optional(s->items[at++]) : std::nullopt;
    };
  }
  if (v.object() && v.object()->iterable()) {
    return [keep = v, &heap] {
      heap.step();
      return keep.object()->next();
    };
  }
  auto items = std::make_shared<const std::vector<Value>>(iterate(heap, v));
  return [items, at = size_t(0), &heap]() mutable -> std::optional<Value> {
    heap.step();
    return at < items->size() ? std::optional((*items)[at++]) : std::nullopt;
  };
}

namespace {

int64_t slice_bound(const Value& v, int64_t fallback, int64_t low, int64_t high, int64_t n) {
  if (v.is_none() || v.is_undefined()) return fallback;
  if (!v.is_int()) raise("slice indices must be integers or None");
  const int64_t i = v.integer();
  return std::clamp(i < 0 ? (i < -n ? low : i + n) : i, low, high);
}

}  // namespace

Value slice(Heap& heap, const Value& v, const Value& start, const Value& stop, const Value& step) {
  if (v.is_undefined()) v.raise_undefined();
  if (v.dict()) raise("unhashable type: 'slice'");
  if (!v.str() && (!v.seq() || v.seq()->kind > SeqKind::range)) raise("'{}' object is not subscriptable", v.type_name());
  if (!step.is_none() && !step.is_undefined() && !step.is_int()) raise("slice indices must be integers or None");
  const int64_t by = step.is_int() ? step.integer() : 1;
  if (by == 0) raise("slice step cannot be zero");
  const int64_t n = *length(heap, v);
  const int64_t low = by > 0 ? 0 : -1;
  const int64_t high = by > 0 ? n : n - 1;
  const int64_t from = slice_bound(start, by > 0 ? 0 : n - 1, low, high, n);
  const int64_t to = slice_bound(stop, by > 0 ? n : -1, low, high, n);
  const auto each = [&](auto&& take) {
    for (int64_t i = from; by > 0 ? i < to : i > to;) {
      take(size_t(i));
      if (__builtin_add_overflow(i, by, &i)) break;
    }
  };
  if (const Str* s = v.str()) {
    if (by == 1) {
      const size_t a = text_offset(s->text, from);
      const size_t b = to <= from ? a : a + text_offset(std::string_view(s->text).substr(a), to - from);
      return heap.text(s->part(std::string_view(s->text).substr(a, b - a)));
    }
    heap.copy(int64_t(s->text.size()) * 16);  // the table of characters
    const auto characters = text_characters(s->text);
    TextBuilder out(heap);
    each([&](size_t i) { out.add(*s, characters[i]); });
    return heap.text(out.take(s->markup));
  }
  std::vector<Value> out;
  each([&](size_t i) { out.push_back(v.seq()->items[i]); });
  if (v.is_seq(SeqKind::range)) {
    const auto [first, last, stride] = v.seq()->range;
    __int128 a = __int128(first) + __int128(from) * stride, b = __int128(first) + __int128(to) * stride,
             c = __int128(by) * stride;
    if (std::max({a, b, c}) > INT64_MAX || std::min({a, b, c}) < INT64_MIN) raise("a slice of a range does not fit in 64 bits");
    return heap.range(int64_t(a), int64_t(b), int64_t(c));
  }
  return heap.list(std::move(out), v.seq()->kind);
}

std::optional<Value> element(Heap& heap, const Value& v, int64_t index) {
  const int64_t n = *length(heap, v);
  if (index < 0) index += n;
  if (index < 0 || index >= n) return std::nullopt;
  if (v.seq()) return v.seq()->items[size_t(index)];
  const Str& s = *v.str();
  const size_t at = text_offset(s.text, index);
  size_t end = at;
  next_code_point(s.text, end);
  return heap.text(s.part(std::string_view(s.text).substr(at, end - at)));
}

}  // namespace gale::jinja
