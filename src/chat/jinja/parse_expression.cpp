#include <algorithm>

#include "chat/jinja/parser.h"

namespace gale::jinja {

namespace {
constexpr int kMaxHeight = 300;
}

bool Parser::skip_op(std::string_view op) {
  if (!is_op(op)) return false;
  advance();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!is_name(name)) return false;
  advance();
  return true;
}

std::string Parser::describe() const {
  switch (now().kind) {
    case TokenKind::text:
      return "text";
    case TokenKind::block_begin:
      return "begin of statement block";
    case TokenKind::block_end:
      return "end of statement block";
    case TokenKind::print_begin:
      return "begin of print statement";
    case TokenKind::print_end:
      return "end of print statement";
    case TokenKind::string:
      return "string";
    case TokenKind::end:
      return "end of template";
    default:
      return fmt::format("'{}'", now().text);
  }
}

void Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) error(fmt::format("expected '{}', got {}", op, describe()));
}
void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) error(fmt::format("expected '{}', got {}", name, describe()));
}
std::string Parser::expect_any_name() {
  if (now().kind != TokenKind::name) error(fmt::format("expected a name, got {}", describe()));
  return advance().text;
}

void Parser::grow(Expr& node, const Expr* part) const {
  if (part) node.depth = std::max(node.depth, part->depth + 1);
  if (node.depth > kMaxHeight)
    error_at(node.at, fmt::format("an expression of more than {} levels is not supported", kMaxHeight));
}

void Parser::grow(Expr& node, const Arguments& arguments) const {
  for (const auto& a : arguments.positional) grow(node, a.get());
  for (const auto& [name, a] : arguments.named) grow(node, a.get());
  grow(node, arguments.star.get());
  grow(node, arguments.star_star.get());
}

template <class Node>
ExprPtr Parser::finish(std::unique_ptr<Node> node, std::initializer_list<const Expr*> parts) {
  for (const Expr* part : parts) grow(*node, part);
  return node;
}

ExprPtr Parser::expression(bool with_conditional) { return with_conditional ? conditional() : logical_or(); }

ExprPtr Parser::conditional() {
  const Nesting nesting(*this);
  const size_t unknown = unknown_.size();
  ExprPtr yes = logical_or();
  while (is_name("if")) {
    auto node = std::make_unique<ConditionalExpr>(advance().at);
    node->test = logical_or();
    if (skip_name("else")) node->no = conditional();
    node->yes = std::move(yes);
    const std::initializer_list<const Expr*> parts = {node->test.get(), node->yes.get(), node->no.get()};
    yes = finish(std::move(node), parts);
    unknown_.erase(unknown_.begin() + std::ptrdiff_t(unknown), unknown_.end());
  }
  return yes;
}

ExprPtr Parser::binary_of(ExprKind kind, BinaryOp op, uint32_t at, ExprPtr left, ExprPtr right) {
  auto node = std::make_unique<BinaryExpr>(kind, at);
  node->op = op;
  grow(*node, left.get());
  grow(*node, right.get());
  node->left = std::move(left);
  node->right = std::move(right);
  return node;
}

ExprPtr Parser::logical_or() {
  const Nesting nesting(*this);
  ExprPtr left = logical_and();
  while (is_name("or")) {
    const uint32_t at = advance().at;
    left = binary_of(ExprKind::logical_or, {}, at, std::move(left), logical_and());
  }
  return left;
}

ExprPtr Parser::logical_and() {
  ExprPtr left = logical_not();
  while (is_name("and")) {
    const uint32_t at = advance().at;
    left = binary_of(ExprKind::logical_and, {}, at, std::move(left), logical_not());
  }
  return left;
}

ExprPtr Parser::logical_not() {
  if (!is_name("not")) return comparison();
  const Nesting nesting(*this);
  auto node = std::make_unique<UnaryExpr>(ExprKind::logical_not, advance().at);
  node->operand = logical_not();
  const Expr* part = node->operand.get();
  return finish(std::move(node), {part});
}

ExprPtr Parser::comparison() {
  static constexpr std::pair<std::string_view, CompareOp> signs[] = {{"==", CompareOp::equal},  {"!=", CompareOp::not_equal},
                                                                     {"<", CompareOp::less},    {"<=", CompareOp::less_equal},
                                                                     {">", CompareOp::greater}, {">=", CompareOp::greater_equal}};
  const uint32_t at = now().at;
  ExprPtr first = sum();
  auto node = std::make_unique<CompareExpr>(at);
  while (true) {
    const auto* sign = std::find_if(std::begin(signs), std::end(signs), [&](const auto& s) { return is_op(s.first); });
    if (sign != std::end(signs)) {
      advance();
      node->rest.emplace_back(sign->second, sum());
    } else if (skip_name("in")) {
      node->rest.emplace_back(CompareOp::in, sum());
    } else if (is_name("not") && ahead().kind == TokenKind::name && ahead().text == "in") {
      advance();
      advance();
      node->rest.emplace_back(CompareOp::not_in, sum());
    } else {
      break;
    }
    grow(*node, node->rest.back().second.get());
  }
  if (node->rest.empty()) return first;
  grow(*node, first.get());
  node->first = std::move(first);
  return node;
}

ExprPtr Parser::sum() {
  ExprPtr left = concatenation();
  while (is_op("+") || is_op("-")) {
    const Token& sign = advance();
    const BinaryOp op = sign.text == "+" ? BinaryOp::add : BinaryOp::subtract;
    left = binary_of(ExprKind::binary, op, sign.at, std::move(left), concatenation());
  }
  return left;
}

ExprPtr Parser::concatenation() {
  ExprPtr first = product();
  if (!is_op("~")) return first;
  auto node = std::make_unique<ItemsExpr>(ExprKind::concat, now().at);
  grow(*node, first.get());
  node->items.push_back(std::move(first));
  while (skip_op("~")) {
    node->items.push_back(product());
    grow(*node, node->items.back().get());
  }
  return node;
}

ExprPtr Parser::product() {
  static constexpr std::pair<std::string_view, BinaryOp> signs[] = {
      {"*", BinaryOp::multiply}, {"/", BinaryOp::divide}, {"//", BinaryOp::floor_divide}, {"%", BinaryOp::modulo}};
  ExprPtr left = power();
  while (true) {
    const auto* sign = std::find_if(std::begin(signs), std::end(signs), [&](const auto& s) { return is_op(s.first); });
    if (sign == std::end(signs)) return left;
    const uint32_t at = advance().at;
    left = binary_of(ExprKind::binary, sign->second, at, std::move(left), power());
  }
}

ExprPtr Parser::power() {
  ExprPtr left = unary();
  while (is_op("**")) {  // to the left, unlike Python
    const uint32_t at = advance().at;
    left = binary_of(ExprKind::binary, BinaryOp::power, at, std::move(left), unary());
  }
  return left;
}

ExprPtr Parser::unary(bool with_filter) {
  ExprPtr node;
  if (is_op("-") || is_op("+")) {
    const Nesting nesting(*this);
    const Token& sign = advance();
    if (sign.text == "-" && is_least()) return std::make_unique<ConstantExpr>(advance().at, Value(INT64_MIN));
    auto made = std::make_unique<UnaryExpr>(sign.text == "-" ? ExprKind::negate : ExprKind::positive, sign.at);
    made->operand = unary(false);
    const Expr* part = made->operand.get();
    node = finish(std::move(made), {part});
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filter ? filters_and_tests(std::move(node)) : std::move(node);
}

ExprPtr Parser::name_or_constant() {
  const Token& token = advance();
  const std::string& name = token.text;
  if (name == "true" || name == "True") return std::make_unique<ConstantExpr>(token.at, true);
  if (name == "false" || name == "False") return std::make_unique<ConstantExpr>(token.at, false);
  if (name == "none" || name == "None") return std::make_unique<ConstantExpr>(token.at, None{});
  used(name);
  return std::make_unique<NameExpr>(token.at, name);
}

ExprPtr Parser::primary() {
  const uint32_t at = now().at;
  switch (now().kind) {
    case TokenKind::name:
      return name_or_constant();
    case TokenKind::number:
      if (is_least()) error("integer 9223372036854775808 does not fit in 64 bits");
      return std::make_unique<ConstantExpr>(at, advance().number);
    case TokenKind::string: {
      std::string text = advance().text;
      while (now().kind == TokenKind::string) text += advance().text;
      return std::make_unique<ConstantExpr>(at, Value::constant(std::move(text)));
    }
    default:
      break;
  }
  if (skip_op("(")) {
    ExprPtr inner = tuple(true, {}, true);
    expect_op(")");
    return inner;
  }
  if (is_op("[")) return list();
  if (is_op("{")) return dict();
  error(fmt::format("unexpected {}", describe()));
}

bool Parser::tuple_end(std::string_view end_name) const {
  if (now().kind == TokenKind::print_end || now().kind == TokenKind::block_end || is_op(")")) return true;
  return !end_name.empty() && is_name(end_name);
}

ExprPtr Parser::tuple(bool with_conditional, std::string_view end_name, bool in_parentheses) {
  auto node = std::make_unique<ItemsExpr>(ExprKind::tuple, now().at);
  bool commas = false;
  while (!tuple_end(end_name)) {
    node->items.push_back(expression(with_conditional));
    grow(*node, node->items.back().get());
    if (!skip_op(",")) break;
    commas = true;
  }
  if (commas) return node;
  if (!node->items.empty()) return std::move(node->items[0]);
  if (!in_parentheses) error(fmt::format("expected an expression, got {}", describe()));
  return node;
}

ExprPtr Parser::list() {
  auto node = std::make_unique<ItemsExpr>(ExprKind::list, advance().at);
  while (!is_op("]")) {
    if (!node->items.empty()) expect_op(",");
    if (is_op("]")) break;
    node->items.push_back(expression());
    grow(*node, node->items.back().get());
  }
  expect_op("]");
  return node;
}

ExprPtr Parser::dict() {
  auto node = std::make_unique<DictExpr>(advance().at);
  while (!is_op("}")) {
    if (!node->items.empty()) expect_op(",");
    if (is_op("}")) break;
    ExprPtr key = expression();
    expect_op(":");
    node->items.emplace_back(std::move(key), expression());
    grow(*node, node->items.back().first.get());
    grow(*node, node->items.back().second.get());
  }
  expect_op("}");
  return node;
}

ExprPtr Parser::postfix(ExprPtr node) {
  while (true) {
    if (is_op(".") || is_op("[")) {
      node = subscript(std::move(node));
    } else if (is_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::filters_and_tests(ExprPtr node) {
  while (true) {
    if (is_op("|")) {
      node = filter(std::move(node));
    } else if (is_name("is")) {
      node = test(std::move(node));
    } else if (is_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

}  // namespace gale::jinja
