#pragma once
#include <algorithm>

#include "chat/jinja/value.h"

namespace gale::jinja {

/// What one rendering may cost. Templates are hostile: each bound ends it with an error that names the bound.
struct Limits {
  int64_t steps = 10'000'000;             ///< nodes evaluated and elements walked over
  int64_t made_bytes = int64_t(1) << 30;  ///< bytes of all values made, dead ones included: the work of copying
  int64_t held_bytes = int64_t(1) << 30;  ///< bytes of all values made, but texts that are no more
  int64_t text_bytes = 16 << 20;          ///< bytes of one text, and of the prompt
  int64_t items = 1'000'000;              ///< elements of one list
  int64_t range = 100'000;                ///< elements of range(), as in jinja2's sandbox
  int nesting = 128;                      ///< levels of lists and dicts in one value
  int depth = 600;                        ///< levels of evaluation
};

/// Makes the values of one rendering and counts what they cost.
class Heap {
 public:
  explicit Heap(const Limits& limits)
      : limits_(limits), steps_left_(limits.steps), bytes_left_(limits.made_bytes), held_left_(limits.held_bytes) {}
  const Limits& limits() const { return limits_; }

  void step(int64_t n = 1) {
    if ((steps_left_ -= n) < 0) raise("the template takes more than {} steps", limits_.steps);
  }
  /// Bytes that a value or the interpreter holds.
  void take(int64_t bytes) {
    copy(bytes);
    if ((held_left_ -= bytes) < 0) raise("the template holds more than {} bytes of values", limits_.held_bytes);
  }
  /// Bytes that are gone soon.
  void copy(int64_t bytes) {
    if ((bytes_left_ -= bytes) < 0) raise("the template makes more than {} bytes of values", limits_.made_bytes);
  }
  /// A text of the input: the bounds grow with what a template is given to work on.
  void given(int64_t bytes);
  /// Pays for one walk over v where it is a text: every filter, test, method and function may look at all of it, and make
  /// nothing.
  void scan(const Value& v) {
    if (const Str* s = v.str()) step(int64_t(s->text.size() / 16));
  }
  void scan(const Args& args) {
    for (const Value& v : args.positional) scan(v);
    for (const auto& [name, v] : args.named) scan(v);
  }
  int64_t steps_left() const { return std::max<int64_t>(steps_left_, 0); }
  int64_t bytes_left() const { return std::max<int64_t>(bytes_left_, 0); }

  /// Raises where a text or list of this size would be too large. Call it before building one whose size is a product.
  void check_text(int64_t bytes) const {
    if (bytes > limits_.text_bytes) raise("a text of {} bytes is too long (limit {})", bytes, limits_.text_bytes);
  }
  void check_items(int64_t n) const {
    if (n > limits_.items) raise("a list of {} elements is too long (limit {})", n, limits_.items);
  }
  void check_depth(int depth) const {
    if (depth > limits_.nesting) raise("a value is nested more than {} levels deep", limits_.nesting);
  }

  Value text(Str s);
  /// What the engine or the template's source writes.
  Value text(std::string s, bool markup = false) { return text(Str{std::move(s), markup}); }
  Value list(std::vector<Value> items, SeqKind kind = SeqKind::list);
  Value tuple(std::vector<Value> items) { return list(std::move(items), SeqKind::tuple); }
  Value range(int64_t start, int64_t stop, int64_t step);
  Value dict(Dict items);
  /// What generators give: elements that are there already, or whatever `next` makes of values of the depth `depth`.
  Value generator(std::string name, std::vector<Value> items);
  Value generator(std::string name, int depth, Generator::Next next);
  /// A pair that |groupby makes.
  Value group(Value key, Value items);
  std::shared_ptr<Namespace> make_namespace();
  template <class T, class... A>
  std::shared_ptr<T> object(A&&... args) {
    take(sizeof(T) + 64);
    auto made = std::make_shared<T>(std::forward<A>(args)...);
    check_depth(made->depth());
    return made;
  }

  /// Containers and namespaces being printed, outermost first: through a namespace a value can hold itself.
  std::vector<const void*> printing;

  /// Empties every namespace, because those may refer to each other in a ring. For the end of a rendering.
  void clear_namespaces();

 private:
  Limits limits_;
  int64_t steps_left_, bytes_left_, held_left_;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
};

/// A text under construction that cannot pass the bound.
class TextBuilder {
 public:
  explicit TextBuilder(Heap& heap) : heap_(heap) {}
  void add(std::string_view s, Author who = Author::source) {
    heap_.check_text(int64_t(text_.size() + s.size()));
    authors_.append(text_.size(), s.size(), who);
    text_ += s;
  }
  void add(char c, Author who = Author::source) { add(std::string_view(&c, 1), who); }
  /// A text with its authors, or a part of it: `inside` lies in s.text, or is empty.
  void add(const Str& s) { add(s, s.text); }
  void add(const Str& s, std::string_view inside);
  void repeat(const Str& s, int64_t n);
  size_t size() const { return text_.size(); }
  const std::string& text() const { return text_; }
  Str take(bool markup = false) { return {std::exchange(text_, {}), markup, std::exchange(authors_, {})}; }

 private:
  Heap& heap_;
  std::string text_;
  Authors authors_;
};

}  // namespace gale::jinja
