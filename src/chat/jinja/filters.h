#pragma once
#include "chat/jinja/builtins.h"

/// What the files of filters and methods share.
namespace gale::jinja {

Filter find_text_filter(std::string_view name);
Filter find_list_filter(std::string_view name);
Filter find_layout_filter(std::string_view name);
Filter find_html_filter(std::string_view name);
Method find_text_method(std::string_view name);
Method find_text_query(std::string_view name);
Method find_number_method(const Value& v, std::string_view name);

/// s.replace(from, to, count); a negative count is no limit.
Str replace_text(Heap& heap, const Str& s, std::string_view from, const Str& to, int64_t count);
/// s.center(width, fill).
Str center_text(Heap& heap, const Str& s, int64_t width, const Str& fill);

/// Elements in the order of their keys, equal ones as they came.
void sort_by_keys(Interpreter& in, std::vector<Value>& items, const std::vector<Value>& keys, bool reverse);
/// dict(*args): pairs, or another dict, and named arguments.
Dict dict_from_args(Interpreter& in, const char* function, const Args& args);

}  // namespace gale::jinja
