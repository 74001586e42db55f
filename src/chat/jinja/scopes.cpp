#include "chat/jinja/scopes.h"

#include <map>

namespace gale::jinja {
namespace {

/// What a body knows of its own names.
struct Names {
  const Names* outer = nullptr;
  std::map<std::string, bool> hidden;  // by name: undefined until it is stored

  bool known(const std::string& name) const { return hidden.contains(name) || (outer != nullptr && outer->known(name)); }
  void load(const std::string& name) {
    if (!known(name)) hidden[name] = false;
  }
  /// What is stored under a condition alone is the caller's before.
  void store(const std::string& name, bool conditional) {
    if (!hidden.contains(name)) hidden[name] = !conditional && (outer == nullptr || !outer->known(name));
  }
  void parameter(const std::string& name) { hidden[name] = false; }
};

class Visitor {
 public:
  explicit Visitor(Names& names) : names_(&names) {}

  /// Bodies inside with names of their own are left for later, when all names of this one are known.
  void visit(Body& body) {
    for (const auto& s : body) visit(*s);
  }
  void finish(Body& body) {
    for (const auto& [name, is_hidden] : names_->hidden)
      if (is_hidden) body.hidden.push_back(name);
    for (Statement* s : inside_) visit_inside(*s);
  }
  void load(const Expr* e);
  void load(const Arguments& a) {
    for (const auto& one : a.positional) load(one.get());
    for (const auto& [name, one] : a.named) load(one.get());
    load(a.star.get());
    load(a.star_star.get());
  }

 private:
  void visit(Statement& s);
  void visit_if(IfStatement& s);
  void visit_inside(Statement& s);
  void store(const Target& target) {
    for (const Target& part : target.parts) store(part);
    if (target.is_tuple) return;
    target.attribute.empty() ? names_->store(target.name, conditions_ > 0) : names_->load(target.name);
  }
  static void parameters(Names& names, const Target& target) {
    for (const Target& part : target.parts) parameters(names, part);
    if (!target.is_tuple) names.parameter(target.name);
  }
  static void inside(Body& body, Names names, const Expr* after = nullptr) {
    Visitor visitor(names);
    visitor.visit(body);
    visitor.load(after);
    visitor.finish(body);
  }

  Names* names_;
  int conditions_ = 0;  // around what is visited
  std::vector<Statement*> inside_;
};

void Visitor::load(const Expr* e) {
  if (e == nullptr) return;
  switch (e->kind) {
    case ExprKind::constant:
      return;
    case ExprKind::name:
      return names_->load(static_cast<const NameExpr&>(*e).name);
    case ExprKind::negate:
    case ExprKind::positive:
    case ExprKind::logical_not:
      return load(static_cast<const UnaryExpr&>(*e).operand.get());
    case ExprKind::binary:
    case ExprKind::logical_and:
    case ExprKind::logical_or: {
      const auto& two = static_cast<const BinaryExpr&>(*e);
      load(two.left.get());
      return load(two.right.get());
    }
    case ExprKind::compare: {
      const auto& compare = static_cast<const CompareExpr&>(*e);
      load(compare.first.get());
      for (const auto& [op, one] : compare.rest) load(one.get());
      return;
    }
    case ExprKind::conditional: {
      const auto& three = static_cast<const ConditionalExpr&>(*e);
      for (const Expr* one : {three.test.get(), three.yes.get(), three.no.get()}) load(one);
      return;
    }
    case ExprKind::concat:
    case ExprKind::list:
    case ExprKind::tuple:
      for (const auto& one : static_cast<const ItemsExpr&>(*e).items) load(one.get());
      return;
    case ExprKind::dict:
      for (const auto& [key, value] : static_cast<const DictExpr&>(*e).items) load(key.get()), load(value.get());
      return;
    case ExprKind::attribute:
      return load(static_cast<const AttributeExpr&>(*e).object.get());
    case ExprKind::subscript: {
      const auto& two = static_cast<const SubscriptExpr&>(*e);
      load(two.object.get());
      return load(two.index.get());
    }
    case ExprKind::slice: {
      const auto& slice = static_cast<const SliceExpr&>(*e);
      for (const Expr* one : {slice.object.get(), slice.start.get(), slice.stop.get(), slice.step.get()}) load(one);
      return;
    }
    case ExprKind::call: {
      const auto& call = static_cast<const CallExpr&>(*e);
      load(call.callee.get());
      return load(call.arguments);
    }
    case ExprKind::filter:
    case ExprKind::test: {
      const auto& named = static_cast<const NamedExpr&>(*e);
      load(named.operand.get());
      return load(named.arguments);
    }
  }
}

void Visitor::visit(Statement& s) {
  switch (s.kind) {
    case StatementKind::print:
      for (const auto& item : static_cast<PrintStatement&>(s).items) load(item.get());
      return;
    case StatementKind::if_:
      return visit_if(static_cast<IfStatement&>(s));
    case StatementKind::set: {
      auto& set = static_cast<SetStatement&>(s);
      load(set.value.get());
      return store(set.target);
    }
    case StatementKind::for_:
      load(static_cast<ForStatement&>(s).iterable.get());
      break;
    case StatementKind::set_block:
      store(static_cast<FilteredStatement&>(s).target);
      break;
    case StatementKind::filter_block:
      load(static_cast<FilteredStatement&>(s).filter.get());
      break;
    case StatementKind::macro:
      names_->store(static_cast<MacroStatement&>(s).name, conditions_ > 0);
      break;
    case StatementKind::call_block:
      load(static_cast<MacroStatement&>(s).call.get());
      break;
    case StatementKind::scope:
      for (const auto& [target, value] : static_cast<ScopeStatement&>(s).values) load(value.get());
      break;
    case StatementKind::text:
    case StatementKind::refused:
    case StatementKind::break_:
    case StatementKind::continue_:
      return;
  }
  inside_.push_back(&s);
}

void Visitor::visit_if(IfStatement& s) {
  ++conditions_;
  for (auto& [test, body] : s.branches) {
    load(test.get());
    visit(body);
  }
  visit(s.otherwise);
  --conditions_;
}

void Visitor::visit_inside(Statement& s) {
  const Names fresh{.outer = names_, .hidden = {}};
  switch (s.kind) {
    case StatementKind::for_: {
      auto& loop = static_cast<ForStatement&>(s);
      Names names = fresh;
      names.parameter("loop");
      parameters(names, loop.target);
      inside(loop.body, names);
      return inside(loop.otherwise, fresh);
    }
    case StatementKind::set_block:
      return inside(static_cast<FilteredStatement&>(s).body, fresh);
    case StatementKind::filter_block: {
      auto& block = static_cast<FilteredStatement&>(s);
      return inside(block.body, fresh, block.filter.get());
    }
    case StatementKind::macro:
    case StatementKind::call_block: {
      auto& macro = static_cast<MacroStatement&>(s);
      Names names = fresh;
      for (const auto& [name, fallback] : macro.parameters) names.parameter(name);
      Visitor defaults(names);
      for (const auto& [name, fallback] : macro.parameters) defaults.load(fallback.get());
      return inside(macro.body, names);
    }
    case StatementKind::scope: {
      auto& scope = static_cast<ScopeStatement&>(s);
      Names names = fresh;
      if (scope.is_block) names.outer = nullptr;
      for (const auto& [target, value] : scope.values) parameters(names, target);
      return inside(scope.body, names);
    }
    default:
      return;
  }
}

}  // namespace

void find_hidden_names(Body& body) {
  Names names;
  Visitor visitor(names);
  visitor.visit(body);
  visitor.finish(body);
}

}  // namespace gale::jinja
