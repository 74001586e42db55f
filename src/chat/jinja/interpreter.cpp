#include "chat/jinja/interpreter.h"

#include <algorithm>

#include "chat/jinja/builtins.h"
#include "chat/jinja/macro.h"

namespace gale::jinja {

namespace {
constexpr size_t kFewNames = 24;
}

Scope::Name* Scope::own(const std::string& name) const {
  if (!index_.empty()) {
    const auto it = index_.find(name);
    return it == index_.end() ? nullptr : &names_[it->second];
  }
  for (Name& known : names_)
    if (known.text == name) return &known;
  return nullptr;
}

const Value* Scope::find(const std::string& name) const {
  for (const Scope* s = this; s; s = s->parent.get())
    if (const Name* found = s->own(name)) return found->hidden ? nullptr : &found->value;
  return nullptr;
}

void Scope::set(const std::string& name, Value value) {
  Name* known = own(name);
  if (known == nullptr) known = &make(name);
  known->value = std::move(value);
  known->hidden = false;
}

Scope::Name& Scope::make(const std::string& name) {
  if (names_.empty()) names_.reserve(8);
  names_.push_back({.text = name, .value = {}});
  if (names_.size() > kFewNames)
    for (size_t i = index_.empty() ? 0 : names_.size() - 1; i < names_.size(); ++i) index_.emplace(names_[i].text, i);
  return names_.back();
}

void Scope::hide(const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (own(name) == nullptr) make(name).hidden = true;
}

ScopePtr Scope::snapshot() const {
  auto out = std::make_shared<Scope>(parent);
  for (const Name& name : names_)
    if (!name.hidden) out->set(name.text, name.value);
  return out;
}

void Scope::clear() {
  names_.clear();
  index_.clear();
}

Interpreter::~Interpreter() {
  heap.clear_namespaces();
  captured_.push_back(root_);
  for (const ScopePtr& scope : captured_) {
    for (Scope* s = scope.get(); s; s = s->parent.get()) s->clear();
  }
}

void Interpreter::raise_depth(Interpreter& in) {
  // The level that raises is never counted down, because its destructor does not run; the rendering ends here anyway.
  raise("the template recurses more than {} levels deep", in.heap.limits().depth);
}

PromptText Interpreter::render(const Body& body) {
  TextBuilder out(heap);
  out_ = &out;
  scope_ = root_ = std::make_shared<Scope>(root_);  // inside what the caller defined
  root_->hide(body.hidden);
  root_->set("self", Value(ObjectPtr(heap.object<TemplateReference>(body))));
  exec(body);
  Str whole = out.take();
  return {std::move(whole.text), std::move(whole.authors)};
}

Value Interpreter::call(const Value& callee, const Args& args) {
  if (callee.is_undefined()) callee.raise_undefined();
  if (!callee.object()) raise("'{}' object is not callable", callee.type_name());
  const Level level(*this, 3);
  heap.scan(args);
  const ObjectPtr keep = callee.object()->shared_from_this();
  return keep->call(*this, args);
}

namespace {

/// v.method, before it is called.
class BoundMethod : public Object {
 public:
  BoundMethod(Value self, std::string name, Method method) : self_(std::move(self)), name_(std::move(name)), method_(method) {}
  std::string type_name() const override { return "builtin_function_or_method"; }
  std::string repr() const override { return fmt::format("<built-in method {} of {} object>", name_, self_.type_name()); }
  bool callable() const override { return true; }
  int depth() const override { return self_.depth() + 1; }
  Value call(Interpreter& in, const Args& args) override {
    static constexpr std::string_view by_name[] = {"split", "rsplit", "splitlines", "expandtabs", "format", "format_map"};
    if (!args.named.empty() && std::find(std::begin(by_name), std::end(by_name), name_) == std::end(by_name))
      raise("{}.{}() takes no keyword arguments", self_.type_name(), name_);
    in.heap.scan(self_);
    return method_(in, self_, args);
  }

 private:
  Value self_;
  std::string name_;
  Method method_;
};

Value no_attribute(const Value& v, std::string_view name) {
  return Value::undefined(fmt::format("'{}' object has no attribute '{}'", v.type_name(), name));
}

/// What numbers, ranges and the pairs of |groupby have.
std::optional<Value> data_attribute(const Value& v, std::string_view name) {
  if (v.is_number()) {
    if (name == "real" || (name == "numerator" && v.is_int())) return v.is_float() ? v : Value(v.integer());
    if (name == "imag") return v.is_float() ? Value(0.0) : Value(0);
    if (name == "denominator" && v.is_int()) return Value(1);
  }
  if (v.is_seq(SeqKind::range)) {
    static constexpr std::string_view names[] = {"start", "stop", "step"};
    for (size_t i = 0; i < 3; ++i)
      if (name == names[i]) return Value(v.seq()->range[i]);
  }
  if (v.seq() && v.seq()->group) {
    if (name == "grouper") return v.seq()->items[0];
    if (name == "list") return v.seq()->items[1];
  }
  return std::nullopt;
}

/// What Python gives every object, and a dict and jinja2's Undefined besides, under names with an underscore before. jinja2's
/// sandbox gives something undefined for these; any other name is looked up, which a dict may have and an undefined value
/// refuses.
bool is_internal(const Value& v, std::string_view name) {
  static constexpr std::string_view kObject[] = {"__class__",   "__delattr__", "__dir__",           "__doc__",         "__eq__",
                                                 "__format__",  "__ge__",      "__getattribute__",  "__getstate__",    "__gt__",
                                                 "__hash__",    "__init__",    "__init_subclass__", "__le__",          "__lt__",
                                                 "__ne__",      "__new__",     "__reduce__",        "__reduce_ex__",   "__repr__",
                                                 "__setattr__", "__sizeof__",  "__str__",           "__subclasshook__"};
  static constexpr std::string_view kDict[] = {"__class_getitem__", "__contains__", "__delitem__", "__getitem__",
                                               "__ior__",           "__iter__",     "__len__",     "__or__",
                                               "__reversed__",      "__ror__",      "__setitem__"};
  static constexpr std::string_view kUndefined[] = {"__add__",
                                                    "__aiter__",
                                                    "__bool__",
                                                    "__call__",
                                                    "__complex__",
                                                    "__div__",
                                                    "__float__",
                                                    "__floordiv__",
                                                    "__getattr__",
                                                    "__getitem__",
                                                    "__int__",
                                                    "__iter__",
                                                    "__len__",
                                                    "__mod__",
                                                    "__module__",
                                                    "__mul__",
                                                    "__neg__",
                                                    "__pos__",
                                                    "__pow__",
                                                    "__radd__",
                                                    "__rdiv__",
                                                    "__rfloordiv__",
                                                    "__rmod__",
                                                    "__rmul__",
                                                    "__rpow__",
                                                    "__rsub__",
                                                    "__rtruediv__",
                                                    "__slots__",
                                                    "__sub__",
                                                    "__truediv__",
                                                    "_fail_with_undefined_error",
                                                    "_undefined_exception",
                                                    "_undefined_hint",
                                                    "_undefined_message",
                                                    "_undefined_name",
                                                    "_undefined_obj"};
  if (!name.starts_with('_')) return false;
  const auto among = [name](const auto& names) { return std::find(std::begin(names), std::end(names), name) != std::end(names); };
  if (v.is_undefined()) return among(kObject) || among(kUndefined);
  if (v.dict()) return among(kObject) || among(kDict);
  return name.starts_with("__") && name.ends_with("__");
}

/// getattr(v, name) without dict keys; nothing where Python raises AttributeError.
std::optional<Value> own_attribute(Interpreter& in, const Value& v, std::string_view name) {
  if (v.object()) {
    if (auto found = v.object()->attribute(name)) return found;
  }
  if (is_internal(v, name)) {
    return Value::undefined(fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, v.type_name()));
  }
  if (auto found = data_attribute(v, name)) return found;
  if (is_hidden_method(v, name)) {
    return Value::undefined(
        fmt::format("access to attribute '{}' of '{}' object is unsafe: a template cannot change lists and dicts, "
                    "only build new ones",
                    name, v.type_name()));
  }
  if (const Method method = find_method(v, name)) {
    return Value(ObjectPtr(in.heap.object<BoundMethod>(v, std::string(name), method)));
  }
  return std::nullopt;
}

}  // namespace

Value Interpreter::attribute(const Value& v, std::string_view name) {
  heap.step();
  if (v.is_undefined() && !is_internal(v, name)) v.raise_undefined();
  if (auto found = own_attribute(*this, v, name)) return *found;
  if (v.dict()) {
    if (const Value* found = v.dict()->find(name)) return *found;
  }
  return no_attribute(v, name);
}

Value Interpreter::item(const Value& v, const Value& key) {
  heap.step();
  if (v.is_undefined()) v.raise_undefined();
  if (v.dict()) {
    const Value* found = hashable(key) ? lookup(heap, *v.dict(), key) : nullptr;
    if (found) return *found;
  }
  if (key.is_int() && (v.str() || (v.seq() && v.seq()->kind <= SeqKind::range))) {
    if (auto found = element(heap, v, key.integer())) return *found;
  }
  if (key.str()) {
    if (auto found = own_attribute(*this, v, key.str()->text)) return *found;
    return no_attribute(v, std::string_view(key.str()->text).substr(0, 80));
  }
  return Value::undefined(
      fmt::format("{} object has no element {}", v.type_name(), key.is_int() ? std::to_string(key.integer()) : "of this key"));
}

}  // namespace gale::jinja
