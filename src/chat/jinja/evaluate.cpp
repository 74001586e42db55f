// Expressions.
#include "chat/jinja/builtins.h"
#include "chat/jinja/interpreter.h"

namespace gale::jinja {

Value Interpreter::eval(const Expr& e) {
  const Level level(*this, 1);
  heap.step();
  at_ = e.at;
  switch (e.kind) {
    case ExprKind::constant:
      return static_cast<const ConstantExpr&>(e).value;
    case ExprKind::name:
      return eval_name(static_cast<const NameExpr&>(e));
    case ExprKind::negate:
      return negate(eval(*static_cast<const UnaryExpr&>(e).operand));
    case ExprKind::positive:
      return positive(eval(*static_cast<const UnaryExpr&>(e).operand));
    case ExprKind::logical_not:
      return !truth(eval(*static_cast<const UnaryExpr&>(e).operand));
    case ExprKind::binary:
    case ExprKind::logical_and:
    case ExprKind::logical_or:
      return eval_binary(static_cast<const BinaryExpr&>(e));
    case ExprKind::concat:
      return eval_concat(static_cast<const ItemsExpr&>(e));
    case ExprKind::compare:
      return eval_compare(static_cast<const CompareExpr&>(e));
    case ExprKind::conditional:
      return eval_conditional(static_cast<const ConditionalExpr&>(e));
    case ExprKind::list:
    case ExprKind::tuple:
      return eval_items(static_cast<const ItemsExpr&>(e));
    case ExprKind::dict:
      return eval_dict(static_cast<const DictExpr&>(e));
    case ExprKind::attribute: {
      const auto& a = static_cast<const AttributeExpr&>(e);
      const Value object = eval(*a.object);
      at_ = e.at;
      return attribute(object, a.name);
    }
    case ExprKind::subscript: {
      const auto& s = static_cast<const SubscriptExpr&>(e);
      const Value object = eval(*s.object);
      const Value key = eval(*s.index);
      at_ = e.at;
      return item(object, key);
    }
    case ExprKind::slice:
      return eval_slice(static_cast<const SliceExpr&>(e));
    case ExprKind::call:
      return eval_call(static_cast<const CallExpr&>(e));
    case ExprKind::filter:
      return eval_filter(static_cast<const NamedExpr&>(e));
    case ExprKind::test:
      return eval_test(static_cast<const NamedExpr&>(e));
  }
  raise("unknown kind of expression");
}

Value Interpreter::eval_name(const NameExpr& e) {
  if (const Value* found = scope_->find(e.name)) return *found;
  return Value::undefined(fmt::format("'{}' is undefined", e.name));
}

Value Interpreter::eval_binary(const BinaryExpr& e) {
  Value left = eval(*e.left);
  if (e.kind == ExprKind::logical_and) return truth(left) ? eval(*e.right) : left;
  if (e.kind == ExprKind::logical_or) return truth(left) ? left : eval(*e.right);
  const Value right = eval(*e.right);
  at_ = e.at;
  return binary(heap, e.op, left, right);
}

Value Interpreter::eval_concat(const ItemsExpr& e) {
  TextBuilder out(heap);
  for (const auto& part : e.items) append_text(out, heap, eval(*part));
  at_ = e.at;
  return heap.text(out.take());
}

Value Interpreter::eval_compare(const CompareExpr& e) {
  Value left = eval(*e.first);
  for (const auto& [op, operand] : e.rest) {
    Value right = eval(*operand);
    at_ = e.at;
    if (!compare(heap, op, left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::eval_conditional(const ConditionalExpr& e) {
  if (truth(eval(*e.test))) return eval(*e.yes);
  if (e.no) return eval(*e.no);
  return Value::undefined("the inline if-expression evaluated to false and no else section was defined.");
}

Value Interpreter::eval_items(const ItemsExpr& e) {
  std::vector<Value> items;
  items.reserve(e.items.size());
  for (const auto& item : e.items) items.push_back(eval(*item));
  return heap.list(std::move(items), e.kind == ExprKind::tuple ? SeqKind::tuple : SeqKind::list);
}

Value Interpreter::eval_dict(const DictExpr& e) {
  Dict dict;
  for (const auto& [key, value] : e.items) {
    const Value k = eval(*key);
    dict.set(k, eval(*value));
  }
  at_ = e.at;
  return heap.dict(std::move(dict));
}

Value Interpreter::eval_slice(const SliceExpr& e) {
  const Value object = eval(*e.object);
  const Value start = e.start ? eval(*e.start) : None{};
  const Value stop = e.stop ? eval(*e.stop) : None{};
  const Value step = e.step ? eval(*e.step) : None{};
  at_ = e.at;
  if (start.is_undefined() || stop.is_undefined() || step.is_undefined())
    raise("slice indices must be integers or None, not undefined");
  return slice(heap, object, start, stop, step);
}

Args Interpreter::eval_arguments(const Arguments& a) {
  Args out;
  for (const auto& item : a.positional) out.positional.push_back(eval(*item));
  for (const auto& [name, item] : a.named) out.named.emplace_back(name, eval(*item));
  if (a.star) {
    for (Value& item : iterate(heap, eval(*a.star))) out.positional.push_back(std::move(item));
  }
  if (a.star_star) {
    const Value more = eval(*a.star_star);
    if (!more.dict()) raise("the argument after ** must be a mapping, not {}", more.type_name());
    for (const auto& [key, item] : more.dict()->items()) {
      heap.step();
      if (!key.str()) raise("keywords must be strings");
      for (const auto& [name, value] : a.named) {
        if (name == key.str()->text) raise("got multiple values for keyword argument '{}'", name);
      }
      out.named.emplace_back(key.str()->text, item);
      out.names = std::max(out.names, key.str()->authors.least());
    }
  }
  return out;
}

Value Interpreter::eval_call(const CallExpr& e, const Value* caller) {
  const Value callee = eval(*e.callee);
  Args args = eval_arguments(e.arguments);
  if (caller) args.named.emplace_back("caller", *caller);
  at_ = e.at;
  return call(callee, args);
}

Value Interpreter::eval_filter(const NamedExpr& e, const Value* block) {
  const Level level(*this, 1);  // also reached without eval(), down the filters of a block
  Value input;
  if (e.operand && block) {
    input = eval_filter(static_cast<const NamedExpr&>(*e.operand), block);
  } else {
    input = e.operand ? eval(*e.operand) : *block;
  }
  const Args args = eval_arguments(e.arguments);
  at_ = e.at;
  return apply_filter(*this, e.name, input, args);
}

Value Interpreter::eval_test(const NamedExpr& e) {
  const Value input = eval(*e.operand);
  const Args args = eval_arguments(e.arguments);
  at_ = e.at;
  return apply_test(*this, e.name, input, args);
}

}  // namespace gale::jinja
