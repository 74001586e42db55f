#include "chat/jinja/heap.h"

namespace gale::jinja {
namespace {

/// Gives back what it held. REQUIRES: the heap outlives it.
struct Counted : Str {
  Counted(Str s, int64_t n, int64_t& counter) : Str(std::move(s)), bytes(n), left(counter) {}
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { left += bytes; }
  int64_t bytes;
  int64_t& left;
};

}  // namespace

void Heap::given(int64_t bytes) {
  // A template may walk over all texts letter by letter, as those of Llama 3.2 Vision look for images, and copy all that it has
  // written so far at each of a thousand turns.
  constexpr int64_t kSteps = 24, kCopies = 2048, kHeld = 16, kWritten = 4, kMostBytes = int64_t(1) << 30;
  limits_.steps += kSteps * bytes, steps_left_ += kSteps * bytes;
  limits_.made_bytes += kCopies * bytes, bytes_left_ += kCopies * bytes;
  limits_.held_bytes += kHeld * bytes, held_left_ += kHeld * bytes;
  limits_.text_bytes = std::min(limits_.text_bytes + kWritten * bytes, kMostBytes);
}

Value Heap::text(Str s) {
  check_text(int64_t(s.text.size()));
  const int64_t bytes = int64_t(s.text.size() + s.authors.bytes()) + 64;
  take(bytes);
  return Value(StrPtr(std::make_shared<const Counted>(std::move(s), bytes, held_left_)));
}

Value Heap::list(std::vector<Value> items, SeqKind kind) {
  const int64_t n = int64_t(items.size());
  check_items(n);
  take(n * int64_t(sizeof(Value)) + 96);
  step(n / 8);
  const int depth = depth_around(items);
  check_depth(depth);
  auto seq = std::make_shared<Seq>();
  seq->items = std::move(items);
  seq->kind = kind;
  seq->depth = depth;
  return Value(SeqPtr(std::move(seq)));
}

Value Heap::range(int64_t start, int64_t stop, int64_t step) {
  if (step == 0) raise("range() arg 3 must not be zero");
  const __int128 span = step > 0 ? __int128(stop) - start : __int128(start) - stop;
  const __int128 stride = step > 0 ? __int128(step) : -__int128(step);
  const __int128 n = span <= 0 ? 0 : (span + stride - 1) / stride;
  if (n > limits_.range) raise("Range too big. The sandbox blocks ranges larger than {}.", limits_.range);
  std::vector<Value> items;
  items.reserve(size_t(n));
  for (int64_t i = 0; i < int64_t(n); ++i) items.emplace_back(int64_t(start + i * step));
  take(int64_t(n) * int64_t(sizeof(Value)) + 96);
  this->step(int64_t(n) / 8);
  auto seq = std::make_shared<Seq>();
  seq->items = std::move(items);
  seq->kind = SeqKind::range;
  seq->range = {start, stop, step};
  return Value(SeqPtr(std::move(seq)));
}

Value Heap::dict(Dict items) {
  const int64_t n = int64_t(items.size());
  check_items(n);
  take(n * 128 + 128);
  step(n / 4);
  for (const auto& [key, value] : items.items()) take(key.str() ? int64_t(key.str()->text.size()) : 0);
  check_depth(items.depth());
  return Value(DictPtr(std::make_shared<const Dict>(std::move(items))));
}

Value Heap::generator(std::string name, std::vector<Value> items) {
  check_items(int64_t(items.size()));
  take(int64_t(items.size() * sizeof(Value)));
  const int depth = depth_around(items);
  auto held = std::make_shared<std::vector<Value>>(std::move(items));
  return generator(std::move(name), depth,
                   [held, at = size_t(0)]() mutable { return at < held->size() ? std::optional((*held)[at++]) : std::nullopt; });
}

Value Heap::generator(std::string name, int depth, Generator::Next next) {
  take(128);
  return Value(ObjectPtr(object<Generator>(std::move(name), depth, std::move(next))));
}

Value Heap::group(Value key, Value items) {
  take(256);
  auto seq = std::make_shared<Seq>();
  seq->items = {std::move(key), std::move(items)};
  seq->kind = SeqKind::tuple;
  seq->group = true;
  seq->depth = depth_around(seq->items);
  check_depth(seq->depth);
  return Value(SeqPtr(std::move(seq)));
}

std::shared_ptr<Namespace> Heap::make_namespace() {
  take(256);
  namespaces_.push_back(std::make_shared<Namespace>());
  return namespaces_.back();
}

void Heap::clear_namespaces() {
  for (auto& ns : namespaces_) ns->clear();
}

void TextBuilder::add(const Str& s, std::string_view inside) {
  heap_.check_text(int64_t(text_.size() + inside.size()));
  if (inside.empty()) return;
  const auto from = size_t(inside.data() - s.text.data());
  authors_.append(text_.size(), s.authors, from, from + inside.size());
  text_ += inside;
}

void TextBuilder::repeat(const Str& s, int64_t n) {
  if (n <= 0 || s.text.empty()) return;
  if (n > heap_.limits().text_bytes) heap_.check_text(n);
  heap_.check_text(int64_t(text_.size()) + int64_t(s.text.size()) * n);
  for (int64_t i = 0; i < n; ++i) add(s);
}

}  // namespace gale::jinja
