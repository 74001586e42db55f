#pragma once
#include "chat/jinja/heap.h"

/// Python's operators and built-in functions on values.
namespace gale::jinja {

enum class BinaryOp : uint8_t { add, subtract, multiply, divide, floor_divide, modulo, power };
enum class CompareOp : uint8_t { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };

bool truth(const Value& v);
/// str(v), never as markup, and repr(v).
Str to_text(Heap& heap, const Value& v);
void append_text(TextBuilder& out, Heap& heap, const Value& v);
void append_repr(TextBuilder& out, Heap& heap, const Value& v);
/// repr() of a part of a text.
void append_repr(TextBuilder& out, const Str& s, std::string_view inside);

bool equals(Heap& heap, const Value& a, const Value& b);
/// a < b, <=, >, >=. Raises where Python has no order between the two.
bool ordered(Heap& heap, CompareOp op, const Value& a, const Value& b);
bool compare(Heap& heap, CompareOp op, const Value& a, const Value& b);
bool contains(Heap& heap, const Value& container, const Value& item);
/// The value of a key, or null. Raises for keys that Python cannot hash.
const Value* lookup(Heap& heap, const Dict& dict, const Value& key);

Value binary(Heap& heap, BinaryOp op, const Value& a, const Value& b);
Value negate(const Value& v);
Value positive(const Value& v);

/// len(v), or nothing where v has none.
std::optional<int64_t> length(Heap& heap, const Value& v);
/// The elements of an iterable: list(v). Runs a generator out.
std::vector<Value> iterate(Heap& heap, const Value& v);
bool is_iterable(const Value& v);
/// iter(v): the elements one by one. Raises at once where v is not iterable.
Generator::Next cursor(Heap& heap, const Value& v);

/// v[start:stop:step]; undefined or none stands for an absent bound.
Value slice(Heap& heap, const Value& v, const Value& start, const Value& stop, const Value& step);
/// v[index] of a text or sequence, counted from the end where negative; nothing where it is out of range.
std::optional<Value> element(Heap& heap, const Value& v, int64_t index);

/// & < > " ' as HTML entities, unless it is markup already.
Str escape_html(Heap& heap, const Value& v);
/// Text of v that keeps the mark of markup: markupsafe's soft_str.
Str soft_text(Heap& heap, const Value& v);

}  // namespace gale::jinja
