#include "chat/jinja/value.h"

#include <algorithm>
#include <cmath>

namespace gale::jinja {

Str Str::part(std::string_view inside) const {
  if (inside.empty()) return {"", markup};
  const auto from = size_t(inside.data() - text.data());
  return {std::string(inside), markup, authors.part(from, from + inside.size())};
}

Author Str::least_author(std::string_view inside) const {
  Author out = Author::source;
  each_author(inside, [&](std::string_view, Author who) { out = std::max(out, who); });
  return out;
}

void Value::raise_undefined() const {
  const auto& why = std::get<Undefined>(data_).why;
  throw Failure(why ? *why : "a value is undefined");
}

std::string Value::type_name() const {
  if (is_undefined()) return "Undefined";
  if (is_none()) return "NoneType";
  if (is_bool()) return "bool";
  if (is_int()) return "int";
  if (is_float()) return "float";
  if (str()) return str()->markup ? "Markup" : "str";
  if (dict()) return "dict";
  if (object()) return object()->type_name();
  static constexpr const char* names[] = {"list", "tuple", "range", "dict_keys", "dict_values", "dict_items"};
  return names[size_t(seq()->kind)];
}

int Value::depth() const {
  if (seq()) return seq()->depth;
  if (dict()) return dict()->depth();
  if (object()) return object()->depth();
  return 0;
}

int depth_around(const std::vector<Value>& items) {
  int depth = 0;
  for (const Value& v : items) depth = std::max(depth, v.depth());
  return depth + 1;
}

bool Value::same_as(const Value& other) const {
  if (data_.index() != other.data_.index()) return false;
  if (is_undefined()) return false;
  if (is_none()) return true;
  if (is_bool()) return boolean() == other.boolean();
  if (is_int()) return integer() == other.integer();
  if (is_float()) return number() == other.number();
  if (str()) return str() == other.str() || (str()->text == other.str()->text && str()->markup == other.str()->markup);
  return seq() == other.seq() && dict() == other.dict() && object() == other.object();
}

std::string hash_key(const Value& key) {
  if (const Str* s = key.str()) return "s" + s->text;
  if (key.is_int()) return "i" + std::to_string(key.integer());
  if (key.is_float()) {
    const double d = key.number();
    if (d == std::floor(d) && std::abs(d) < 9e15) return "i" + std::to_string(int64_t(d));
    return fmt::format("f{:a}", d);
  }
  if (key.is_none()) return "n";
  if (key.is_undefined()) return "u";
  if (key.object()) return fmt::format("o{}", static_cast<const void*>(key.object()));
  if (key.is_seq(SeqKind::tuple)) {
    std::string out = "t";
    for (const Value& item : key.seq()->items) {
      const std::string part = hash_key(item);
      if (out.size() + part.size() > 65536) raise("a tuple is too large to be a key of a dict");
      out += std::to_string(part.size()) + ":" + part;
    }
    return out;
  }
  if (key.is_seq(SeqKind::range)) {
    const auto& items = key.seq()->items;  // equal ranges have equal elements
    if (items.empty()) return "r";
    const int64_t step = items.size() > 1 ? items[1].integer() - items[0].integer() : 0;
    return fmt::format("r{}:{}:{}", items.size(), items[0].integer(), step);
  }
  if (key.is_seq(SeqKind::values)) return fmt::format("v{}", static_cast<const void*>(key.seq()));
  raise("unhashable type: '{}'", key.type_name());
}

bool hashable(const Value& key) {
  if (key.is_seq(SeqKind::tuple)) return std::all_of(key.seq()->items.begin(), key.seq()->items.end(), hashable);
  return !key.dict() && (!key.seq() || key.is_seq(SeqKind::range) || key.is_seq(SeqKind::values));
}

namespace {
constexpr size_t kFewItems = 8;
}

std::optional<size_t> Dict::place(const Value& key) const {
  const bool text = key.str() != nullptr;
  const std::string hash = text && index_.empty() ? "" : hash_key(key);
  if (!index_.empty()) {
    const auto it = index_.find(hash);
    return it == index_.end() ? std::nullopt : std::optional(it->second);
  }
  for (size_t i = 0; i < items_.size(); ++i) {
    const Value& known = items_[i].first;
    if (text ? known.str() && known.str()->text == key.str()->text : !known.str() && hash_key(known) == hash) return i;
  }
  return std::nullopt;
}

const Value* Dict::find(const Value& key) const {
  const auto at = place(key);
  return at ? &items_[*at].second : nullptr;
}

const Value* Dict::find(std::string_view key) const {
  if (index_.empty()) {
    for (const auto& [known, value] : items_)
      if (known.str() && known.str()->text == key) return &value;
    return nullptr;
  }
  std::string text = "s";
  text += key;
  const auto it = index_.find(text);
  return it == index_.end() ? nullptr : &items_[it->second].second;
}

void Dict::set(const Value& key, Value value) {
  const auto at = place(key);
  depth_ = std::max({depth_, value.depth() + 1, key.depth() + 1});
  if (at) {
    items_[*at].second = std::move(value);
    return;
  }
  items_.emplace_back(key, std::move(value));
  if (items_.size() <= kFewItems) return;
  for (size_t i = index_.empty() ? 0 : items_.size() - 1; i < items_.size(); ++i) index_.emplace(hash_key(items_[i].first), i);
}

Value Object::call(Interpreter&, const Args&) { raise("'{}' object is not callable", type_name()); }

std::optional<Value> Generator::next() {
  if (!next_) return std::nullopt;
  Next work = std::exchange(next_, nullptr);  // it is over where it fails, and cannot be run by itself
  std::optional<Value> out = work();
  if (out) next_ = std::move(work);
  return out;
}

std::optional<Value> Namespace::attribute(std::string_view name) const {
  const Value* found = fields_.find(name);
  return found ? std::optional(*found) : std::nullopt;
}

void Namespace::set(const Value& name, Value value) {
  const std::string& text = name.str()->text;
  if (text.starts_with('_')) raise("a namespace cannot hold '{}': names must not begin with an underscore", text);
  fields_.set(name, std::move(value));
}

}  // namespace gale::jinja
