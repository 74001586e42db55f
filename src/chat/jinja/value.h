#pragma once
#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "chat/authors.h"

namespace gale::jinja {

/// An error of evaluation. It carries no place: whatever renders the template adds line and column and makes it a gale::Error.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class... Args>
[[noreturn]] void raise(fmt::format_string<Args...> text, Args&&... args) {
  throw Failure(fmt::format(text, std::forward<Args>(args)...));
}

class Value;
class Dict;
class Object;

/// A name or element that is not there. It prints as nothing; using it otherwise raises `why`.
struct Undefined {
  std::shared_ptr<const std::string> why;
};
struct None {};

/// UTF-8 text. `markup` is what |safe and |escape set: adding plain text to it escapes that text, as markupsafe does.
struct Str {
  std::string text;
  bool markup = false;
  Authors authors = {};

  /// A part of it, with its authors and its mark. `inside` lies in `text`, or is empty.
  Str part(std::string_view inside) const;
  /// Calls work(piece, who) for what each author wrote of `inside`.
  template <class Work>
  void each_author(std::string_view inside, Work work) const {
    const auto from = inside.empty() ? size_t(0) : size_t(inside.data() - text.data());
    authors.each(from, from + inside.size(),
                 [&](size_t a, size_t b, Author who) { work(std::string_view(text).substr(a, b - a), who); });
  }
  Author least_author(std::string_view inside) const;
};

enum class SeqKind : uint8_t { list, tuple, range, keys, values, items };

/// Everything that Python indexes by position or shows as a view of a dict. Never changes once made.
struct Seq {
  std::vector<Value> items;
  SeqKind kind = SeqKind::list;
  bool group = false;              ///< a pair of |groupby, whose elements also have names
  int depth = 1;                   ///< levels of nesting, so that no walk over a value can be deep
  std::array<int64_t, 3> range{};  ///< start, stop, step of a range, for printing
};

using StrPtr = std::shared_ptr<const Str>;
using SeqPtr = std::shared_ptr<const Seq>;
using DictPtr = std::shared_ptr<const Dict>;
using ObjectPtr = std::shared_ptr<Object>;

/// A Python value, as far as a chat template can see one. Cheap to copy; containers are shared and never change.
class Value {
 public:
  Value() = default;  // undefined, without a reason
  Value(None) : data_(None{}) {}
  Value(bool v) : data_(v) {}
  Value(int64_t v) : data_(v) {}
  Value(int v) : data_(int64_t(v)) {}
  Value(double v) : data_(v) {}
  Value(StrPtr v) : data_(std::move(v)) {}
  Value(SeqPtr v) : data_(std::move(v)) {}
  Value(DictPtr v) : data_(std::move(v)) {}
  Value(ObjectPtr v) : data_(std::move(v)) {}
  Value(const void*) = delete;  // a pointer must not become a bool

  static Value undefined(std::string why) { return Value(Undefined{std::make_shared<const std::string>(std::move(why))}); }
  /// For constants of the engine and of the template's source only: not counted. Heap::text makes all others.
  static Value constant(std::string text) { return Value(std::make_shared<const Str>(Str{std::move(text)})); }

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_int() const { return std::holds_alternative<int64_t>(data_) || is_bool(); }  // Python's bool is an int
  bool is_number() const { return is_int() || is_float(); }

  bool boolean() const { return std::get<bool>(data_); }
  int64_t integer() const { return is_bool() ? int64_t(boolean()) : std::get<int64_t>(data_); }
  double number() const { return is_float() ? std::get<double>(data_) : double(integer()); }

  /// The text, sequence, dict or object, or null where the value is something else.
  const Str* str() const { return pointer<StrPtr>(); }
  const Seq* seq() const { return pointer<SeqPtr>(); }
  const Dict* dict() const { return pointer<DictPtr>(); }
  Object* object() const { return pointer<ObjectPtr>(); }
  template <class T>
  T* object_as() const;
  bool is_seq(SeqKind kind) const { return seq() && seq()->kind == kind; }

  /// Raises the reason why this undefined value is undefined.
  [[noreturn]] void raise_undefined() const;
  /// Python's name of the type: 'str', 'NoneType', ...
  std::string type_name() const;
  int depth() const;
  /// Python's `is`.
  bool same_as(const Value& other) const;

 private:
  explicit Value(Undefined u) : data_(std::move(u)) {}
  template <class P>
  auto pointer() const -> typename P::element_type* {
    const P* p = std::get_if<P>(&data_);
    return p ? p->get() : nullptr;
  }
  std::variant<Undefined, None, bool, int64_t, double, StrPtr, SeqPtr, DictPtr, ObjectPtr> data_;
};

/// A dict in order of insertion. Keys of large ones are looked up through a text that is the same for keys Python holds equal
/// (1, 1.0, True).
class Dict {
 public:
  using Item = std::pair<Value, Value>;
  const std::vector<Item>& items() const { return items_; }
  size_t size() const { return items_.size(); }
  int depth() const { return depth_; }
  /// Null where the key is absent. Raises for keys that Python cannot hash.
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(const Value& key, Value value);

 private:
  std::optional<size_t> place(const Value& key) const;
  std::vector<Item> items_;
  std::unordered_map<std::string, size_t> index_;  ///< of items_, where they are too many to look through
  int depth_ = 1;
};

/// The lookup text of a key, equal exactly for keys that Python holds equal. Raises "unhashable type".
std::string hash_key(const Value& key);
/// Whether hash_key has one.
bool hashable(const Value& key);

struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
  Author names = Author::source;  ///< the least trusted author of a name, should one become text again
};

class Interpreter;

/// Whatever is not plain data: functions, bound methods, macros, loops, namespaces, generators.
class Object : public std::enable_shared_from_this<Object> {
 public:
  virtual ~Object() = default;
  virtual std::string type_name() const = 0;
  virtual std::string repr() const { return "<" + type_name() + " object>"; }
  /// Levels of nesting of the values it holds, its own included, so that destruction and printing cannot go deep either.
  virtual int depth() const { return 1; }
  virtual bool callable() const { return false; }
  virtual Value call(Interpreter& in, const Args& args);
  /// An attribute, or nothing.
  virtual std::optional<Value> attribute(std::string_view) const { return std::nullopt; }
  virtual bool iterable() const { return false; }
  /// The next element of an iterable one, or nothing at its end.
  virtual std::optional<Value> next() { return std::nullopt; }
};

template <class T>
T* Value::object_as() const {
  return dynamic_cast<T*>(object());
}

/// What Python's generators look like from a template: run through once, element by element as they are asked for, no length, no
/// index.
class Generator : public Object {
 public:
  using Next = std::function<std::optional<Value>()>;
  /// `depth`: of all values that `next` holds.
  Generator(std::string name, int depth, Next next) : name_(std::move(name)), next_(std::move(next)), depth_(depth + 1) {}
  std::string type_name() const override { return name_; }
  int depth() const override { return depth_; }
  bool iterable() const override { return true; }
  std::optional<Value> next() override;

 private:
  std::string name_;
  Next next_;
  int depth_;
};

/// Levels of nesting of a container of these items.
int depth_around(const std::vector<Value>& items);

/// namespace(): the one thing a template may change.
class Namespace : public Object {
 public:
  std::string type_name() const override { return "Namespace"; }
  const Dict& fields() const { return fields_; }
  std::optional<Value> attribute(std::string_view name) const override;
  /// Raises for names that begin with an underscore, as transformers does.
  void set(const Value& name, Value value);
  void clear() { fields_ = Dict(); }

 private:
  Dict fields_;
};

}  // namespace gale::jinja
