// Filters on lists and dicts.
#include <algorithm>

#include "chat/jinja/filters.h"
#include "chat/jinja/sorting.h"
#include "chat/jinja/text.h"

namespace gale::jinja {

Value attribute_path(Interpreter& in, Value v, const Value& path, const Value* fallback) {
  if (path.is_none()) return v;
  const auto step = [&](const Value& key) {
    v = in.item(v, key);
    if (v.is_undefined() && fallback) v = *fallback;
  };
  if (!path.str()) {
    step(path);
    return v;
  }
  std::string_view rest = path.str()->text;
  while (true) {
    const size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    const bool digits = !part.empty() && part.find_first_not_of("0123456789") == part.npos;
    step(digits ? Value(*parse_int(part)) : in.heap.text(std::string(part)));
    if (dot == rest.npos) return v;
    rest.remove_prefix(dot + 1);
  }
}

Value sort_key(Interpreter& in, const Value& v, const SortKey& key) {
  Value out = attribute_path(in, v, key.attribute);
  if (key.case_sensitive || !out.str()) return out;
  in.heap.step(int64_t(out.str()->text.size() / 8));
  return in.heap.text(to_lower(out.str()->text));
}

void sort_by_keys(Interpreter& in, std::vector<Value>& items, const std::vector<Value>& keys, bool reverse) {
  const auto order = stable_order(items.size(), [&](size_t a, size_t b) {
    return reverse ? ordered(in.heap, CompareOp::less, keys[b], keys[a]) : ordered(in.heap, CompareOp::less, keys[a], keys[b]);
  });
  std::vector<Value> sorted;
  sorted.reserve(items.size());
  for (const size_t i : order) sorted.push_back(std::move(items[i]));
  items = std::move(sorted);
}

namespace {

std::vector<Value> keys_of(Interpreter& in, const std::vector<Value>& items, const SortKey& key) {
  std::vector<Value> out;
  out.reserve(items.size());
  for (const Value& v : items) out.push_back(sort_key(in, v, key));
  return out;
}

int depth_of(const Value& v, const Args& args) {
  int depth = v.depth();
  for (const Value& a : args.positional) depth = std::max(depth, a.depth());
  for (const auto& [name, a] : args.named) depth = std::max(depth, a.depth());
  return depth;
}

/// A generator of what `work(in, v, args)` gives, which runs when the first element is asked for.
Value deferred(Interpreter& in, const Value& v, const Args& args,
               std::vector<Value> (*work)(Interpreter&, const Value&, const Args&)) {
  std::shared_ptr<std::vector<Value>> made;
  return in.heap.generator("generator", depth_of(v, args),
                           [&in, v, args, work, made, at = size_t(0)]() mutable -> std::optional<Value> {
                             if (!made) {
                               const Interpreter::Level level(in, 3);
                               made = std::make_shared<std::vector<Value>>(work(in, v, args));
                               in.heap.check_items(int64_t(made->size()));
                               in.heap.take(int64_t(made->size() * sizeof(Value)));
                             }
                             return at < made->size() ? std::optional((*made)[at++]) : std::nullopt;
                           });
}

/// Python's sorted() takes only an int for its reverse.
bool reversed(const Bound& a, size_t i) { return a.integer(i, 0) != 0; }

Value sort(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("sort", args, {"reverse", "case_sensitive", "attribute"});
  std::vector<Value> items = iterate(in.heap, v);
  std::vector<std::string> paths = {""};
  const bool by_path = a.has(2) && a[2].str();
  if (by_path) {
    paths.clear();
    for (std::string_view rest = a[2].str()->text;; rest.remove_prefix(rest.find(',') + 1)) {
      paths.emplace_back(rest.substr(0, rest.find(',')));
      if (rest.find(',') == rest.npos) break;
    }
  }
  std::vector<Value> keys;
  for (const Value& item : items) {
    std::vector<Value> key;
    for (const std::string& path : paths) {
      key.push_back(sort_key(in, item, {by_path ? in.heap.text(path) : a.get(2, None{}), a.flag(1)}));
    }
    keys.push_back(in.heap.list(std::move(key)));
  }
  sort_by_keys(in, items, keys, reversed(a, 0));
  return in.heap.list(std::move(items));
}

Value dict_sort(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("dictsort", args, {"case_sensitive", "by", "reverse"});
  const std::string by = a.has(1) ? a.text(1) : "key";
  if (by != "key" && by != "value") raise("You can only sort by either \"key\" or \"value\"");
  if (v.is_undefined()) v.raise_undefined();
  if (!v.dict()) raise("'{}' object has no attribute 'items'", v.type_name());
  std::vector<Value> items;
  for (const auto& [key, value] : v.dict()->items()) items.push_back(in.heap.tuple({key, value}));
  const auto keys = keys_of(in, items, {Value(by == "key" ? 0 : 1), a.flag(0)});
  sort_by_keys(in, items, keys, reversed(a, 2));
  return in.heap.list(std::move(items));
}

Value unique(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("unique", args, {"case_sensitive", "attribute"});
  const SortKey how{a.get(1, None{}), a.flag(0)};
  Generator::Next items;
  Dict seen;
  return in.heap.generator("generator", depth_of(v, args), [&in, v, how, items, seen]() mutable -> std::optional<Value> {
    if (!items) items = cursor(in.heap, v);
    while (auto item = items()) {
      const Value key = sort_key(in, *item, how);
      if (lookup(in.heap, seen, key)) continue;
      in.heap.take(256);
      seen.set(key, true);
      return item;
    }
    return std::nullopt;
  });
}

Value extreme(Interpreter& in, const Value& v, const Args& args, const char* name, CompareOp op) {
  const Bound a(name, args, {"case_sensitive", "attribute"});
  const std::vector<Value> items = iterate(in.heap, v);
  if (items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  const auto keys = keys_of(in, items, {a.get(1, None{}), a.flag(0)});
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i) {
    if (ordered(in.heap, op, keys[i], keys[best])) best = i;
  }
  return items[best];
}
Value minimum(Interpreter& in, const Value& v, const Args& args) { return extreme(in, v, args, "min", CompareOp::less); }
Value maximum(Interpreter& in, const Value& v, const Args& args) { return extreme(in, v, args, "max", CompareOp::greater); }

Value length_of(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("length", args, {});
  const auto n = length(in.heap, v);
  if (n) return *n;
  if (v.object()) {
    if (const auto n = v.object()->type_name() == "LoopContext" ? v.object()->attribute("length") : std::nullopt) return *n;
  }
  raise("object of type '{}' has no len()", v.type_name());
}

Value first(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("first", args, {});
  if (v.object() && v.object()->iterable()) {
    if (auto item = v.object()->next()) return *item;
    return Value::undefined("No first item, sequence was empty.");
  }
  if (v.seq() && !v.seq()->items.empty()) return v.seq()->items.front();
  const auto items = iterate(in.heap, v);
  return items.empty() ? Value::undefined("No first item, sequence was empty.") : items.front();
}

Value last(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("last", args, {});
  if (v.object()) raise("'{}' object is not reversible", v.type_name());
  if (v.seq() && !v.seq()->items.empty()) return v.seq()->items.back();
  const auto items = iterate(in.heap, v);
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value join(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("join", args, {"d", "attribute"});
  const Str separator = a.has(0) ? to_text(in.heap, a[0]) : Str{};
  TextBuilder out(in.heap);
  bool more = false;
  for (const Value& item : iterate(in.heap, v)) {
    if (more) out.add(separator);
    more = true;
    append_text(out, in.heap, a.has(1) ? attribute_path(in, item, a[1]) : item);
  }
  return in.heap.text(out.take());
}

Value default_value(Interpreter&, const Value& v, const Args& args) {
  const Bound a("default", args, {"default_value", "boolean"});
  const bool absent = v.is_undefined() || (a.flag(1) && !truth(v));
  return absent ? a.get(0, Value::constant("")) : v;
}

Value list(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("list", args, {});
  return in.heap.list(iterate(in.heap, v));
}

std::vector<Value> pairs(Interpreter& in, const Value& v, const Args&) {
  std::vector<Value> out;
  if (v.is_undefined()) return out;
  if (!v.dict()) raise("Can only get item pairs from a mapping.");
  for (const auto& [key, value] : v.dict()->items()) out.push_back(in.heap.tuple({key, value}));
  return out;
}
Value items(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("items", args, {});
  return deferred(in, v, args, pairs);
}

Value reverse(Interpreter& in, const Value& v, const Args& args) {
  const Bound none("reverse", args, {});
  std::vector<Value> out = iterate(in.heap, v);
  std::reverse(out.begin(), out.end());
  const bool view = v.seq() || v.dict() || v.is_undefined();
  if (!view && !v.str()) return in.heap.list(std::move(out));  // what cannot be walked backwards is copied
  if (!v.str()) return in.heap.generator("list_reverseiterator", std::move(out));
  TextBuilder text(in.heap);
  for (const Value& c : out) text.add(*c.str());
  return in.heap.text(text.take(v.str()->markup));
}

Value sum(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("sum", args, {"attribute", "start"});
  Value total = a.get(1, 0);
  if (total.str()) raise("sum() can't sum strings [use ''.join(seq) instead]");
  for (const Value& item : iterate(in.heap, v)) {
    total = binary(in.heap, BinaryOp::add, total, attribute_path(in, item, a.get(0, None{})));
  }
  return total;
}

std::vector<Value> batches(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("batch", args, {"linecount", "fill_with"}, 1);
  std::vector<Value> out, row;
  for (Value& item : iterate(in.heap, v)) {
    if (equals(in.heap, a[0], int64_t(row.size()))) {
      out.push_back(in.heap.list(std::exchange(row, {})));
    }
    row.push_back(std::move(item));
  }
  if (!row.empty()) {
    const bool fill = a.has(1) && !a[1].is_none() && ordered(in.heap, CompareOp::less, int64_t(row.size()), a[0]);
    if (fill) {
      const int64_t n = a.integer(0, 0);
      in.heap.check_items(n);
      row.resize(size_t(n), a[1]);
    }
    out.push_back(in.heap.list(std::move(row)));
  }
  return out;
}
Value batch(Interpreter& in, const Value& v, const Args& args) {
  const Bound check("batch", args, {"linecount", "fill_with"}, 1);
  return deferred(in, v, args, batches);
}

std::vector<Value> columns(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("slice", args, {"slices", "fill_with"}, 1);
  const int64_t n = a.integer(0, 0);
  const std::vector<Value> items = iterate(in.heap, v);
  if (n == 0) raise("integer division or modulo by zero");
  in.heap.check_items(n);
  in.heap.step(std::max<int64_t>(n, 0));
  const int64_t size = int64_t(items.size()) / n, extra = int64_t(items.size()) % n;
  std::vector<Value> out;
  size_t at = 0;
  for (int64_t i = 0; i < n; ++i) {
    const size_t count = size_t(size + (i < extra ? 1 : 0));
    std::vector<Value> row(items.begin() + std::ptrdiff_t(at), items.begin() + std::ptrdiff_t(at + count));
    at += count;
    if (i >= extra && a.has(1) && !a[1].is_none()) row.push_back(a[1]);
    out.push_back(in.heap.list(std::move(row)));
  }
  return out;
}
Value slices(Interpreter& in, const Value& v, const Args& args) {
  const Bound check("slice", args, {"slices", "fill_with"}, 1);
  return deferred(in, v, args, columns);
}

Value group_by(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("groupby", args, {"attribute", "default", "case_sensitive"}, 1);
  const Value* fallback = a.has(1) && !a[1].is_none() ? &a[1] : nullptr;
  std::vector<Value> items = iterate(in.heap, v), keys;
  const auto key_of = [&](const Value& item) {
    return sort_key(in, attribute_path(in, item, a[0], fallback), {None{}, a.flag(2)});
  };
  for (const Value& item : items) keys.push_back(key_of(item));
  sort_by_keys(in, items, keys, false);
  std::vector<Value> out;
  for (size_t i = 0; i < items.size();) {
    const Value key = key_of(items[i]);
    size_t end = i + 1;
    while (end < items.size() && equals(in.heap, key, key_of(items[end]))) ++end;
    Value label = a.flag(2) ? key : attribute_path(in, items[i], a[0], fallback);
    out.push_back(
        in.heap.group(std::move(label), in.heap.list({items.begin() + std::ptrdiff_t(i), items.begin() + std::ptrdiff_t(end)})));
    i = end;
  }
  return in.heap.list(std::move(out));
}

/// The function that |map applies.
std::function<Value(const Value&)> mapping(Interpreter& in, const Args& args) {
  if (args.positional.empty()) {
    for (const auto& [name, value] : args.named) {
      if (name != "attribute" && name != "default") raise("map: unexpected keyword argument '{}'", name);
    }
    const Bound a("map", args, {"attribute", "default"});
    if (!a.has(0)) raise("map requires a filter argument");
    return [&in, path = a[0], fallback = a.get(1, None{})](const Value& item) {
      return attribute_path(in, item, path, fallback.is_none() ? nullptr : &fallback);
    };
  }
  const Value name = args.positional[0];
  const Args rest{{args.positional.begin() + 1, args.positional.end()}, args.named};
  return [&in, name, rest](const Value& item) {
    if (!name.str()) raise("map: the name of a filter must be a str");
    return apply_filter(in, name.str()->text, item, rest);
  };
}

Value map(Interpreter& in, const Value& v, const Args& args) {
  Generator::Next items;
  std::function<Value(const Value&)> f;
  return in.heap.generator("generator", depth_of(v, args), [&in, v, args, items, f]() mutable -> std::optional<Value> {
    const Interpreter::Level level(in, 3);
    if (!items) {
      if (!truth(v)) return std::nullopt;
      f = mapping(in, args);
      items = cursor(in.heap, v);
    }
    const auto item = items();
    return item ? std::optional(f(*item)) : std::nullopt;
  });
}

/// What select, reject, selectattr and rejectattr ask of an element: a test, or whether it is true where no test is named.
bool chosen(Interpreter& in, const Value& item, const Args& args, bool by_attribute) {
  const size_t name_at = by_attribute ? 1 : 0;
  const Value subject = by_attribute ? attribute_path(in, item, args.positional[0]) : item;
  if (args.positional.size() <= name_at) return truth(subject);
  if (!args.positional[name_at].str()) raise("the name of a test must be a str");
  const Args rest{{args.positional.begin() + std::ptrdiff_t(name_at) + 1, args.positional.end()}, args.named};
  return apply_test(in, args.positional[name_at].str()->text, subject, rest);
}

Value choose(Interpreter& in, const Value& v, const Args& args, bool keep, bool by_attribute) {
  Generator::Next items;
  return in.heap.generator("generator", depth_of(v, args),
                           [&in, v, args, keep, by_attribute, items]() mutable -> std::optional<Value> {
                             const Interpreter::Level level(in, 3);
                             if (!items) {
                               if (!truth(v)) return std::nullopt;
                               if (by_attribute && args.positional.empty()) raise("Missing parameter for attribute name");
                               items = cursor(in.heap, v);
                             }
                             while (auto item = items()) {
                               if (chosen(in, *item, args, by_attribute) == keep) return item;
                             }
                             return std::nullopt;
                           });
}
Value select(Interpreter& in, const Value& v, const Args& args) { return choose(in, v, args, true, false); }
Value reject(Interpreter& in, const Value& v, const Args& args) { return choose(in, v, args, false, false); }
Value select_attribute(Interpreter& in, const Value& v, const Args& args) { return choose(in, v, args, true, true); }
Value reject_attribute(Interpreter& in, const Value& v, const Args& args) { return choose(in, v, args, false, true); }

Value get_attribute(Interpreter& in, const Value& v, const Args& args) {
  const Bound a("attr", args, {"name"}, 1);
  if (v.dict() && !find_method(v, a.text(0)))
    return Value::undefined(fmt::format("'dict' object has no attribute '{}'", a.text(0)));
  const std::string_view name = a.text(0);
  if (v.is_undefined() && name.starts_with("__") && name.ends_with("__"))  // which jinja2 never asks an undefined value for
    return Value::undefined(fmt::format("undefined has no attribute '{}'", name));
  return in.attribute(v, name);
}

}  // namespace

Filter find_list_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Filter> table = {{"sort", sort},
                                                                     {"dictsort", dict_sort},
                                                                     {"unique", unique},
                                                                     {"min", minimum},
                                                                     {"max", maximum},
                                                                     {"length", length_of},
                                                                     {"count", length_of},
                                                                     {"first", first},
                                                                     {"last", last},
                                                                     {"join", join},
                                                                     {"default", default_value},
                                                                     {"d", default_value},
                                                                     {"list", list},
                                                                     {"items", items},
                                                                     {"reverse", reverse},
                                                                     {"sum", sum},
                                                                     {"batch", batch},
                                                                     {"slice", slices},
                                                                     {"groupby", group_by},
                                                                     {"map", map},
                                                                     {"select", select},
                                                                     {"reject", reject},
                                                                     {"selectattr", select_attribute},
                                                                     {"rejectattr", reject_attribute},
                                                                     {"attr", get_attribute}};
  const auto it = table.find(name);
  return it == table.end() ? nullptr : it->second;
}

}  // namespace gale::jinja
