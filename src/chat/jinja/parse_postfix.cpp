// What follows an operand: attributes, subscripts, calls, filters and tests.
#include "chat/jinja/builtins.h"
#include "chat/jinja/parser.h"

namespace gale::jinja {

ExprPtr Parser::subscript(ExprPtr object) {
  const uint32_t at = now().at;
  auto node = std::make_unique<SubscriptExpr>(at);
  grow(*node, object.get());
  if (skip_op(".")) {
    if (now().kind == TokenKind::name) {
      auto attribute = std::make_unique<AttributeExpr>(at);
      attribute->depth = node->depth;
      attribute->object = std::move(object);
      attribute->name = advance().text;
      return attribute;
    }
    if (now().kind != TokenKind::number || now().number.is_float()) error("expected a name or an integer after '.'");
    node->index = std::make_unique<ConstantExpr>(now().at, now().number);
    advance();
    node->object = std::move(object);
    return node;
  }
  expect_op("[");
  ExprPtr start;
  if (is_op("]"))
    start = std::make_unique<ItemsExpr>(ExprKind::tuple, at);  // x[] is x[()]
  else if (!is_op(":"))
    start = expression();
  if (skip_op(":")) {
    auto slice = std::make_unique<SliceExpr>(at);
    if (!is_op(":") && !is_op("]")) slice->stop = expression();
    if (skip_op(":") && !is_op("]")) slice->step = expression();
    expect_op("]");
    for (const Expr* part : {object.get(), start.get(), slice->stop.get(), slice->step.get()}) grow(*slice, part);
    slice->object = std::move(object);
    slice->start = std::move(start);
    return slice;
  }
  if (is_op(",")) {
    auto index = std::make_unique<ItemsExpr>(ExprKind::tuple, at);
    index->items.push_back(std::move(start));
    while (skip_op(",")) index->items.push_back(expression());
    for (const auto& item : index->items) grow(*index, item.get());
    start = std::move(index);
  }
  expect_op("]");
  grow(*node, start.get());
  node->object = std::move(object);
  node->index = std::move(start);
  return node;
}

ExprPtr Parser::call(ExprPtr callee) {
  auto node = std::make_unique<CallExpr>(now().at);
  node->arguments = arguments();
  grow(*node, callee.get());
  grow(*node, node->arguments);
  node->callee = std::move(callee);
  return node;
}

Arguments Parser::arguments() {
  Arguments out;
  const uint32_t at = now().at;
  expect_op("(");
  const auto ensure = [&](bool ok) {
    if (!ok) error_at(at, "invalid syntax for function call expression");
  };
  bool comma = false;
  while (!is_op(")")) {
    if (comma) {
      expect_op(",");
      if (is_op(")")) break;
    }
    comma = true;
    if (skip_op("*")) {
      ensure(!out.star && !out.star_star);
      out.star = expression();
    } else if (skip_op("**")) {
      ensure(!out.star_star);
      out.star_star = expression();
    } else if (now().kind == TokenKind::name && ahead().kind == TokenKind::op && ahead().text == "=") {
      ensure(!out.star_star);
      std::string name = advance().text;
      advance();
      for (const auto& [other, value] : out.named) ensure(other != name);
      out.named.emplace_back(std::move(name), expression());
    } else {
      ensure(!out.star && !out.star_star && out.named.empty());
      out.positional.push_back(expression());
    }
  }
  expect_op(")");
  return out;
}

std::string Parser::dotted_name() {
  std::string name = expect_any_name();
  while (skip_op(".")) name += "." + expect_any_name();
  return name;
}

ExprPtr Parser::filter(ExprPtr operand, bool named_already) {
  while (named_already || skip_op("|")) {
    named_already = false;
    auto node = std::make_unique<NamedExpr>(ExprKind::filter, now().at);
    node->name = dotted_name();
    if (!find_filter(node->name)) unknown_.push_back({node->at, fmt::format("no filter named '{}'", node->name.substr(0, 80))});
    if (is_op("(")) node->arguments = arguments();
    grow(*node, operand.get());
    grow(*node, node->arguments);
    node->operand = std::move(operand);
    operand = std::move(node);
  }
  return operand;
}

ExprPtr Parser::test(ExprPtr operand) {
  advance();
  const uint32_t not_at = now().at;
  const bool negated = skip_name("not");
  auto node = std::make_unique<NamedExpr>(ExprKind::test, now().at);
  node->name = dotted_name();
  if (!find_test(node->name)) unknown_.push_back({node->at, fmt::format("no test named '{}'", node->name.substr(0, 80))});
  const bool operator_name = is_name("else") || is_name("or") || is_name("and");
  if (is_op("(")) {
    node->arguments = arguments();
  } else if (now().kind == TokenKind::string || now().kind == TokenKind::number || is_op("[") || is_op("{") ||
             (now().kind == TokenKind::name && !operator_name)) {
    if (is_name("is")) error("You cannot chain multiple tests with is");
    node->arguments.positional.push_back(postfix(primary()));
  }
  grow(*node, operand.get());
  grow(*node, node->arguments);
  node->operand = std::move(operand);
  if (!negated) return node;
  auto inverse = std::make_unique<UnaryExpr>(ExprKind::logical_not, not_at);
  grow(*inverse, node.get());
  inverse->operand = std::move(node);
  return inverse;
}

}  // namespace gale::jinja
