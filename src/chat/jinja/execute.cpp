// Statements.
#include <algorithm>

#include "chat/jinja/builtins.h"
#include "chat/jinja/interpreter.h"
#include "chat/jinja/macro.h"

namespace gale::jinja {

template <class Work>
Str Interpreter::capture(ScopePtr outer, Work&& work) {
  TextBuilder text(heap);
  TextBuilder* const saved_out = std::exchange(out_, &text);
  const ScopePtr saved_scope = std::exchange(scope_, std::make_shared<Scope>(std::move(outer)));
  heap.take(128);
  work();
  scope_ = saved_scope;
  out_ = saved_out;
  return text.take();
}

void Interpreter::print(const Value& v) { append_text(*out_, heap, v); }

Interpreter::Flow Interpreter::exec(const Body& body) {
  for (const auto& s : body) {
    const Flow flow = exec(*s);
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::exec(const Statement& s) {
  const Level level(*this, 1);
  heap.step();
  at_ = s.at;
  switch (s.kind) {
    case StatementKind::text:
      out_->add(static_cast<const TextStatement&>(s).text);
      return Flow::next;
    case StatementKind::print:
      for (const auto& item : static_cast<const PrintStatement&>(s).items) print(eval(*item));
      return Flow::next;
    case StatementKind::if_:
      return exec_if(static_cast<const IfStatement&>(s));
    case StatementKind::for_:
      return exec_for(static_cast<const ForStatement&>(s));
    case StatementKind::set: {
      const auto& set = static_cast<const SetStatement&>(s);
      assign(set.target, eval(*set.value));
      return Flow::next;
    }
    case StatementKind::set_block:
      return exec_set_block(static_cast<const FilteredStatement&>(s));
    case StatementKind::filter_block:
      return exec_filter_block(static_cast<const FilteredStatement&>(s));
    case StatementKind::macro: {
      const auto& macro = static_cast<const MacroStatement&>(s);
      scope_->set(macro.name, make_macro(macro));
      return Flow::next;
    }
    case StatementKind::call_block:
      exec_call_block(static_cast<const MacroStatement&>(s));
      return Flow::next;
    case StatementKind::scope:
      return exec_scope(static_cast<const ScopeStatement&>(s));
    case StatementKind::refused:
      raise("{}", static_cast<const RefusedStatement&>(s).why);
    case StatementKind::break_:
      return Flow::break_;
    case StatementKind::continue_:
      return Flow::continue_;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::exec_if(const IfStatement& s) {
  for (const auto& [test, body] : s.branches) {
    if (truth(eval(*test))) return exec(body);
  }
  return exec(s.otherwise);
}

Interpreter::Flow Interpreter::exec_for(const ForStatement& s) {
  const Value iterable = eval(*s.iterable);
  at_ = s.at;
  return run_loop(s, iterable, 0);
}

Interpreter::Flow Interpreter::run_loop(const ForStatement& s, const Value& iterable, int depth) {
  const ScopePtr outer = scope_;
  const auto loop = heap.object<Loop>(*this, s, outer, iterate(heap, iterable), depth);
  ScopePtr inner;
  bool completed = false;  // as in jinja2, `else` also runs where every round ended by break or continue
  Flow flow = Flow::next;
  while (flow != Flow::break_) {
    auto element = loop->advance();
    if (!element) break;
    heap.step(4);
    if (!inner || inner.use_count() > 1) {  // a macro may have kept the last round's scope
      heap.take(128);
      inner = std::make_shared<Scope>(outer);
    }
    inner->clear();
    scope_ = inner;
    assign(s.target, std::move(*element));
    inner->set("loop", Value(ObjectPtr(loop)));
    inner->hide(s.body.hidden);
    flow = exec(s.body);
    scope_ = outer;
    completed |= flow == Flow::next;
  }
  if (completed || s.otherwise.empty()) return Flow::next;
  scope_ = std::make_shared<Scope>(outer);
  scope_->hide(s.otherwise.hidden);
  flow = exec(s.otherwise);
  scope_ = outer;
  return flow;
}

/// The body's text through the filter, which sees the names that the body sets. Nothing where the body leaves a loop.
std::optional<Value> Interpreter::filtered(const FilteredStatement& s, Flow& flow) {
  std::optional<Value> value;
  capture(scope_, [&] {
    scope_->hide(s.body.hidden);
    flow = exec(s.body);
    if (flow != Flow::next) return;
    value = heap.text(out_->take());
    if (s.filter) value = eval_filter(static_cast<const NamedExpr&>(*s.filter), &*value);
  });
  return value;
}

Interpreter::Flow Interpreter::exec_set_block(const FilteredStatement& s) {
  Flow flow = Flow::next;
  if (std::optional<Value> value = filtered(s, flow)) assign(s.target, std::move(*value));
  return flow;
}

Interpreter::Flow Interpreter::exec_filter_block(const FilteredStatement& s) {
  Flow flow = Flow::next;
  const std::optional<Value> value = filtered(s, flow);
  if (value && !value->str()) raise("the filters of a block must give a str, not {}", value->type_name());
  if (value) print(*value);
  return flow;
}

Interpreter::Flow Interpreter::exec_scope(const ScopeStatement& s) {
  std::vector<Value> values;
  for (const auto& [target, expr] : s.values) values.push_back(eval(*expr));
  const ScopePtr outer = scope_;
  scope_ = std::make_shared<Scope>(s.outermost ? root_->snapshot() : outer);
  for (size_t i = 0; i < values.size(); ++i) assign(s.values[i].first, std::move(values[i]));
  scope_->hide(s.body.hidden);
  const Flow flow = exec(s.body);
  scope_ = outer;
  return flow;
}

Str Interpreter::block_text(const ScopeStatement& s) {
  return capture(root_->snapshot(), [&] {
    scope_->hide(s.body.hidden);
    exec(s.body);
  });
}

Value BlockReference::call(Interpreter& in, const Args&) { return in.heap.text(in.block_text(source_)); }

namespace {

const ScopeStatement* find_block(const Body& body, std::string_view name);

const ScopeStatement* find_block(const Statement& s, std::string_view name) {
  switch (s.kind) {
    case StatementKind::if_: {
      const auto& branches = static_cast<const IfStatement&>(s);
      for (const auto& [test, body] : branches.branches)
        if (const auto* found = find_block(body, name)) return found;
      return find_block(branches.otherwise, name);
    }
    case StatementKind::for_: {
      const auto& loop = static_cast<const ForStatement&>(s);
      const auto* found = find_block(loop.body, name);
      return found != nullptr ? found : find_block(loop.otherwise, name);
    }
    case StatementKind::set_block:
    case StatementKind::filter_block:
      return find_block(static_cast<const FilteredStatement&>(s).body, name);
    case StatementKind::macro:
    case StatementKind::call_block:
      return find_block(static_cast<const MacroStatement&>(s).body, name);
    case StatementKind::scope: {
      const auto& scope = static_cast<const ScopeStatement&>(s);
      return scope.is_block && scope.name == name ? &scope : find_block(scope.body, name);
    }
    default:
      return nullptr;
  }
}

const ScopeStatement* find_block(const Body& body, std::string_view name) {
  for (const auto& s : body)
    if (const auto* found = find_block(*s, name)) return found;
  return nullptr;
}

}  // namespace

std::optional<Value> TemplateReference::attribute(std::string_view name) const {
  const ScopeStatement* block = find_block(body_, name);
  if (block == nullptr) return std::nullopt;
  return Value(ObjectPtr(std::make_shared<BlockReference>(*block)));
}

Value Interpreter::make_macro(const MacroStatement& s) {
  heap.take(256);
  captured_.push_back(scope_);
  return Value(ObjectPtr(heap.object<Macro>(s, scope_)));
}

void Interpreter::exec_call_block(const MacroStatement& s) {
  const Value caller = make_macro(s);
  print(eval_call(static_cast<const CallExpr&>(*s.call), &caller));
}

void Interpreter::assign(const Target& target, Value value) {
  if (target.is_tuple) {
    at_ = target.at;
    std::vector<Value> items = iterate(heap, value);
    const size_t wanted = target.parts.size();
    if (items.size() < wanted) raise("not enough values to unpack (expected {}, got {})", wanted, items.size());
    if (items.size() > wanted) raise("too many values to unpack (expected {})", wanted);
    for (size_t i = 0; i < wanted; ++i) assign(target.parts[i], std::move(items[i]));
    return;
  }
  if (target.attribute.empty()) {
    scope_->set(target.name, std::move(value));
    return;
  }
  at_ = target.at;
  const Value* holder = scope_->find(target.name);
  Namespace* ns = holder ? holder->object_as<Namespace>() : nullptr;
  if (!ns) raise("cannot assign attribute on non-namespace object '{}'", target.name);
  ns->set(Value::constant(target.attribute), std::move(value));
}

// --- macros ---

void Macro::bind(Interpreter& in, const Args& args) {
  Scope& names = *in.scope_;
  const auto& parameters = source_.parameters;
  std::vector<bool> used(args.named.size());
  const auto take_named = [&](const std::string& name) -> const Value* {
    for (size_t i = 0; i < args.named.size(); ++i) {
      if (args.named[i].first == name && !used[i]) {
        used[i] = true;
        return &args.named[i].second;
      }
    }
    return nullptr;
  };
  bool has_caller = false;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto& [name, fallback] = parameters[i];
    has_caller |= name == "caller";
    const Value* given = i < args.positional.size() ? &args.positional[i] : take_named(name);
    if (given) {
      names.set(name, *given);
    } else {
      names.set(name, fallback ? in.eval(*fallback) : Value::undefined(fmt::format("parameter '{}' was not provided", name)));
    }
  }
  if (source_.uses_caller && !has_caller) {
    const Value* caller = take_named("caller");
    names.set("caller", caller ? *caller : Value::undefined("No caller defined"));
  }
  Dict rest;
  for (size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    if (!source_.uses_kwargs) raise("macro '{}' takes no keyword argument '{}'", source_.name, args.named[i].first);
    rest.set(in.heap.text(Str{args.named[i].first, false, args.names}), args.named[i].second);
  }
  if (source_.uses_kwargs) names.set("kwargs", in.heap.dict(std::move(rest)));
  const size_t taken = std::min(parameters.size(), args.positional.size());
  if (source_.uses_varargs) {
    names.set("varargs", in.heap.tuple({args.positional.begin() + std::ptrdiff_t(taken), args.positional.end()}));
  } else if (args.positional.size() > parameters.size()) {
    raise("macro '{}' takes not more than {} argument(s)", source_.name, parameters.size());
  }
}

Value Macro::call(Interpreter& in, const Args& args) {
  return in.heap.text(in.capture(scope_, [&] {
    bind(in, args);
    in.scope_->hide(source_.body.hidden);
    in.exec(source_.body);
  }));
}

std::optional<Value> Macro::attribute(std::string_view name) const {
  if (name == "name") return source_.name.empty() ? Value(None{}) : Value::constant(source_.name);
  if (name == "arguments") {
    auto names = std::make_shared<Seq>();
    names->kind = SeqKind::tuple;
    for (const auto& [parameter, fallback] : source_.parameters) names->items.push_back(Value::constant(parameter));
    return Value(SeqPtr(std::move(names)));
  }
  if (name == "explicit_caller")
    return Value(
        std::any_of(source_.parameters.begin(), source_.parameters.end(), [](const auto& p) { return p.first == "caller"; }));
  if (name == "caller") return Value(source_.uses_caller);
  if (name == "catch_kwargs") return Value(source_.uses_kwargs);
  if (name == "catch_varargs") return Value(source_.uses_varargs);
  return std::nullopt;
}

// --- loops ---

Value Loop::call(Interpreter& in, const Args& args) {
  if (!source_.recursive) raise("The loop must have the 'recursive' marker to be called recursively.");
  if (args.positional.size() != 1 || !args.named.empty()) raise("loop() takes one argument");
  const ScopePtr outer = outer_.lock();
  if (!outer) raise("loop() was called after its loop had ended");
  return in.heap.text(in.capture(outer, [&] { in.run_loop(source_, args.positional[0], loop_depth_ + 1); }));
}

std::optional<Value> Loop::draw() const {
  while (at_ < items_.size()) {
    Value v = items_[at_++];
    if (!source_.test || tested_) return v;
    in_.heap.take(128);
    const ScopePtr saved = in_.scope_;
    in_.scope_ = std::make_shared<Scope>(outer_.lock());
    in_.assign(source_.target, v);
    const bool keep = truth(in_.eval(*source_.test));
    in_.scope_ = saved;
    if (keep) return v;
  }
  return std::nullopt;
}

}  // namespace gale::jinja
