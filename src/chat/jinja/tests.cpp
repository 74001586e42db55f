// What may stand after `is`, and the calls of filters and tests by name.
#include <cmath>

#include "chat/jinja/filters.h"
#include "chat/jinja/text.h"

namespace gale::jinja {
namespace {

void no_args(const Args& args) {
  if (!args.positional.empty() || !args.named.empty()) raise("this test takes no argument");
}

const Value& one_arg(const Args& args) {
  if (args.positional.size() == 1 && args.named.empty()) return args.positional[0];
  if (args.positional.empty() && args.named.size() == 1) return args.named[0].second;
  raise("this test takes one argument");
}

template <bool (*f)(const Value&)>
bool simple(Interpreter&, const Value& v, const Args& args) {
  no_args(args);
  return f(v);
}

template <CompareOp op>
bool comparing(Interpreter& in, const Value& v, const Args& args) {
  return compare(in.heap, op, v, one_arg(args));
}

bool remainder_is(Interpreter& in, const Value& v, int64_t divisor, int64_t rest) {
  return equals(in.heap, binary(in.heap, BinaryOp::modulo, v, Value(divisor)), Value(rest));
}
bool odd(Interpreter& in, const Value& v, const Args& args) {
  no_args(args);
  return remainder_is(in, v, 2, 1);
}
bool even(Interpreter& in, const Value& v, const Args& args) {
  no_args(args);
  return remainder_is(in, v, 2, 0);
}
bool divisible_by(Interpreter& in, const Value& v, const Args& args) {
  return equals(in.heap, binary(in.heap, BinaryOp::modulo, v, one_arg(args)), Value(0));
}

/// str.islower() or str.isupper(): some letter has this case, none the other.
bool has_case(Interpreter& in, const Value& v, bool (*wanted)(char32_t), bool (*other)(char32_t)) {
  const std::string s = to_text(in.heap, v).text;
  in.heap.step(int64_t(s.size() / 16));
  bool found = false;
  for (size_t at = 0; at < s.size();) {
    const char32_t c = next_code_point(s, at);
    if (other(c)) return false;
    found |= wanted(c);
  }
  return found;
}
bool capital(char32_t c) { return is_upper(c) || is_title(c); }
bool small(char32_t c) { return is_lower(c) || is_title(c); }
bool lower(Interpreter& in, const Value& v, const Args& args) {
  no_args(args);
  return has_case(in, v, is_lower, capital);
}
bool upper(Interpreter& in, const Value& v, const Args& args) {
  no_args(args);
  return has_case(in, v, is_upper, small);
}

bool same_as(Interpreter&, const Value& v, const Args& args) { return v.same_as(one_arg(args)); }
bool is_in(Interpreter& in, const Value& v, const Args& args) { return contains(in.heap, one_arg(args), v); }
bool is_filter(Interpreter&, const Value& v, const Args& args) {
  no_args(args);
  hash_key(v);  // Python looks the name up in a dict
  return v.str() && find_filter(v.str()->text);
}
bool is_test(Interpreter&, const Value& v, const Args& args) {
  no_args(args);
  hash_key(v);
  return v.str() && find_test(v.str()->text);
}

bool defined(const Value& v) { return !v.is_undefined(); }
bool undefined(const Value& v) { return v.is_undefined(); }
bool none(const Value& v) { return v.is_none(); }
bool boolean(const Value& v) { return v.is_bool(); }
bool is_true(const Value& v) { return v.is_bool() && v.boolean(); }
bool is_false(const Value& v) { return v.is_bool() && !v.boolean(); }
bool integer(const Value& v) { return v.is_int() && !v.is_bool(); }
bool is_float(const Value& v) { return v.is_float(); }
bool number(const Value& v) { return v.is_number(); }
bool string(const Value& v) { return v.str() != nullptr; }
bool mapping(const Value& v) { return v.dict() != nullptr; }
bool sequence(const Value& v) { return v.is_undefined() || v.str() || v.dict() || (v.seq() && v.seq()->kind <= SeqKind::range); }
bool callable(const Value& v) { return v.object() ? v.object()->callable() : v.is_undefined(); }  // Undefined has a __call__
bool escaped(const Value& v) { return v.str() && v.str()->markup; }

}  // namespace

Test find_test(std::string_view name) {
  static const std::unordered_map<std::string_view, Test> table = {{"defined", simple<defined>},
                                                                   {"undefined", simple<undefined>},
                                                                   {"none", simple<none>},
                                                                   {"boolean", simple<boolean>},
                                                                   {"true", simple<is_true>},
                                                                   {"false", simple<is_false>},
                                                                   {"integer", simple<integer>},
                                                                   {"float", simple<is_float>},
                                                                   {"number", simple<number>},
                                                                   {"string", simple<string>},
                                                                   {"mapping", simple<mapping>},
                                                                   {"sequence", simple<sequence>},
                                                                   {"iterable", simple<is_iterable>},
                                                                   {"callable", simple<callable>},
                                                                   {"escaped", simple<escaped>},
                                                                   {"odd", odd},
                                                                   {"even", even},
                                                                   {"divisibleby", divisible_by},
                                                                   {"lower", lower},
                                                                   {"upper", upper},
                                                                   {"sameas", same_as},
                                                                   {"in", is_in},
                                                                   {"filter", is_filter},
                                                                   {"test", is_test},
                                                                   {"==", comparing<CompareOp::equal>},
                                                                   {"eq", comparing<CompareOp::equal>},
                                                                   {"equalto", comparing<CompareOp::equal>},
                                                                   {"!=", comparing<CompareOp::not_equal>},
                                                                   {"ne", comparing<CompareOp::not_equal>},
                                                                   {">", comparing<CompareOp::greater>},
                                                                   {"gt", comparing<CompareOp::greater>},
                                                                   {"greaterthan", comparing<CompareOp::greater>},
                                                                   {">=", comparing<CompareOp::greater_equal>},
                                                                   {"ge", comparing<CompareOp::greater_equal>},
                                                                   {"<", comparing<CompareOp::less>},
                                                                   {"lt", comparing<CompareOp::less>},
                                                                   {"lessthan", comparing<CompareOp::less>},
                                                                   {"<=", comparing<CompareOp::less_equal>},
                                                                   {"le", comparing<CompareOp::less_equal>}};
  const auto it = table.find(name);
  return it == table.end() ? nullptr : it->second;
}

Filter find_filter(std::string_view name) {
  for (const auto find : {find_text_filter, find_list_filter, find_layout_filter, find_html_filter})
    if (const Filter filter = find(name)) return filter;
  return nullptr;
}

Value apply_filter(Interpreter& in, std::string_view name, const Value& v, const Args& args) {
  const Interpreter::Level level(in, 3);  // map may name map
  in.heap.step();
  in.heap.scan(v);
  in.heap.scan(args);
  const Filter filter = find_filter(name);
  if (!filter) raise("no filter named '{}'", name.substr(0, 80));
  return filter(in, v, args);
}

bool apply_test(Interpreter& in, std::string_view name, const Value& v, const Args& args) {
  in.heap.step();
  in.heap.scan(v);
  in.heap.scan(args);
  const Test test = find_test(name);
  if (!test) raise("no test named '{}'", name.substr(0, 80));
  return test(in, v, args);
}

}  // namespace gale::jinja
