#pragma once
#include "chat/jinja/interpreter.h"

/// The functions, filters, tests and methods that a template can name.
namespace gale::jinja {

using Filter = Value (*)(Interpreter& in, const Value& v, const Args& args);
using Test = bool (*)(Interpreter& in, const Value& v, const Args& args);
using Method = Value (*)(Interpreter& in, const Value& self, const Args& args);
using Function = Value (*)(Interpreter& in, const Args& args);

/// Null where there is none of that name.
Filter find_filter(std::string_view name);
Test find_test(std::string_view name);
/// A method of v's type.
Method find_method(const Value& v, std::string_view name);
/// Whether the sandbox hides a method of v's type, because it would change v.
bool is_hidden_method(const Value& v, std::string_view name);
/// Puts range, namespace, dict, raise_exception, ... into the root scope.
void define_globals(Interpreter& in);

Value apply_filter(Interpreter& in, std::string_view name, const Value& v, const Args& args);
bool apply_test(Interpreter& in, std::string_view name, const Value& v, const Args& args);

/// Sorted by jinja2's sort filter and its relatives: by attribute where given, texts without regard to case.
struct SortKey {
  Value attribute;  ///< undefined or none: the element itself
  bool case_sensitive = false;
};
Value sort_key(Interpreter& in, const Value& v, const SortKey& key);
/// v.a.b.0 for the path "a.b.0".
Value attribute_path(Interpreter& in, Value v, const Value& path, const Value* fallback = nullptr);

/// The arguments of a call, put in the order of the parameters' names. Raises for too many, unknown or missing ones.
class Bound {
 public:
  Bound(const char* function, const Args& args, std::initializer_list<std::string_view> names, size_t required = 0);
  bool has(size_t i) const { return values_[i] != nullptr; }
  const Value& operator[](size_t i) const { return *values_[i]; }
  Value get(size_t i, Value fallback) const { return has(i) ? *values_[i] : std::move(fallback); }
  bool flag(size_t i, bool fallback = false) const;
  int64_t integer(size_t i, int64_t fallback) const;
  /// Raises where it is no text.
  const Str& str(size_t i) const;
  const std::string& text(size_t i) const { return str(i).text; }
  std::optional<std::string_view> optional_text(size_t i) const;

 private:
  const char* function_;
  std::vector<const Value*> values_;
};

/// Thrown by raise_exception: the message is the template's own and needs no line and column.
struct Refusal : Failure {
  using Failure::Failure;
};

}  // namespace gale::jinja
