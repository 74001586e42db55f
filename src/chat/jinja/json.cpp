#include "chat/jinja/json.h"

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/sorting.h"
#include "chat/jinja/text.h"

namespace gale::jinja {
namespace {

Value convert(Heap& heap, const Json& json, Author who, int depth) {
  heap.check_depth(depth);
  heap.step();
  switch (json.type()) {
    case Json::value_t::null:
    case Json::value_t::discarded:
      return None{};
    case Json::value_t::boolean:
      return json.get<bool>();
    case Json::value_t::number_float:
      return json.get<double>();
    case Json::value_t::number_unsigned:
      if (json.get<uint64_t>() > uint64_t(INT64_MAX))
        raise("the integer {} of the input does not fit in 64 bits", json.get<uint64_t>());
      [[fallthrough]];
    case Json::value_t::number_integer:
      return json.get<int64_t>();
    case Json::value_t::string:
      heap.given(int64_t(json.get_ref<const std::string&>().size()));
      return heap.text(Str{json.get_ref<const std::string&>(), false, who});
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(convert(heap, item, who, depth + 1));
      return heap.list(std::move(items));
    }
    case Json::value_t::object: {
      Dict dict;
      for (const auto& [key, value] : json.items())
        dict.set(heap.text(Str{key, false, who}), convert(heap, value, who, depth + 1));
      return heap.dict(std::move(dict));
    }
    case Json::value_t::binary:
      break;
  }
  raise("binary JSON cannot be given to a template");
}

class Dumper {
 public:
  Dumper(Heap& heap, const DumpOptions& options) : heap_(heap), options_(options), out_(heap) {}
  Str take() { return out_.take(); }

  void value(const Value& v, int level) {
    heap_.step();
    if (v.str()) return text(*v.str());
    if (v.seq() && v.seq()->kind <= SeqKind::tuple) return array(*v.seq(), level);
    if (v.dict()) return object(*v.dict(), level);
    if (v.is_undefined() || v.seq() || v.object()) raise("Object of type {} is not JSON serializable", v.type_name());
    out_.add(scalar(v));
  }

 private:
  static std::string scalar(const Value& v) {
    if (v.is_none()) return "null";
    if (v.is_bool()) return v.boolean() ? "true" : "false";
    if (v.is_int()) return std::to_string(v.integer());
    if (std::isnan(v.number())) return "NaN";
    if (std::isinf(v.number())) return v.number() < 0 ? "-Infinity" : "Infinity";
    return float_repr(v.number());
  }

  void new_line(int level) {
    if (!options_.indent) return;
    out_.add('\n');
    out_.repeat(*options_.indent, level);
  }

  void array(const Seq& s, int level) {
    if (s.items.empty()) return out_.add("[]");
    out_.add('[');
    for (size_t i = 0; i < s.items.size(); ++i) {
      if (i > 0) out_.add(options_.item_separator);
      new_line(level + 1);
      value(s.items[i], level + 1);
    }
    new_line(level);
    out_.add(']');
  }

  void object(const Dict& d, int level) {
    if (d.items().empty()) return out_.add("{}");
    std::vector<const Dict::Item*> items;
    for (const auto& item : d.items()) items.push_back(&item);
    if (options_.sort_keys) {
      const auto order = stable_order(items.size(), [&](size_t a, size_t b) {
        return ordered(heap_, CompareOp::less, d.items()[a].first, d.items()[b].first);
      });
      for (size_t i = 0; i < items.size(); ++i) items[i] = &d.items()[order[i]];
    }
    out_.add('{');
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_.add(options_.item_separator);
      new_line(level + 1);
      const Value& key = items[i]->first;
      const bool scalar_key = key.is_number() || key.is_none();
      if (!key.str() && !scalar_key) raise("keys must be str, int, float, bool or None, not {}", key.type_name());
      text(key.str() ? *key.str() : Str{scalar(key)});
      out_.add(options_.key_separator);
      value(items[i]->second, level + 1);
    }
    new_line(level);
    out_.add('}');
  }

  void text(const Str& s) {
    out_.add('"');
    s.each_author(s.text, [&](std::string_view piece, Author who) { escaped(piece, who); });
    out_.add('"');
  }

  void escaped(std::string_view s, Author who) {
    size_t plain = 0;  // start of the run that is copied as it is
    for (size_t at = 0; at < s.size();) {
      const size_t from = at;
      const char32_t c = next_code_point(s, at);
      const bool special = c < 0x20 || c == '"' || c == '\\' || (options_.ensure_ascii && c > 0x7e);
      if (!special) continue;
      out_.add(s.substr(plain, from - plain), who);
      plain = at;
      out_.add(escape(c), who);
    }
    out_.add(s.substr(plain), who);
  }

  static std::string escape(char32_t c) {
    static constexpr std::string_view letters = "\"\\\b\f\n\r\t", names = "\"\\bfnrt";
    if (const size_t i = c < 128 ? letters.find(char(c)) : letters.npos; i != letters.npos) return {'\\', names[i]};
    if (c < 0x10000) return fmt::format("\\u{:04x}", uint32_t(c));
    const uint32_t v = uint32_t(std::min<char32_t>(c, 0x10ffff)) - 0x10000;
    return fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (v >> 10), 0xdc00 + (v & 0x3ff));
  }

  Heap& heap_;
  const DumpOptions& options_;
  TextBuilder out_;
};

}  // namespace

Value from_json(Heap& heap, const Json& json, Author who) { return convert(heap, json, who, 0); }

Str dump_json(Heap& heap, const Value& v, const DumpOptions& options) {
  Dumper dumper(heap, options);
  dumper.value(v, 0);
  return dumper.take();
}

}  // namespace gale::jinja
