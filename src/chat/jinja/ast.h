#pragma once
#include <memory>
#include <string>
#include <vector>

#include "chat/jinja/operators.h"

/// The tree of a template. Nodes are told apart by `kind`; `at` is the byte offset in the source, for messages.
namespace gale::jinja {

enum class ExprKind : uint8_t {
  constant,
  name,
  negate,
  positive,
  logical_not,
  binary,
  concat,
  compare,
  logical_and,
  logical_or,
  conditional,
  list,
  tuple,
  dict,
  attribute,
  subscript,
  slice,
  call,
  filter,
  test,
};

struct Expr {
  Expr(ExprKind k, uint32_t where) : kind(k), at(where) {}
  virtual ~Expr() = default;
  ExprKind kind;
  uint32_t at;
  int depth = 1;  ///< height of the tree below, bounded by the parser
};
using ExprPtr = std::unique_ptr<Expr>;

struct ConstantExpr : Expr {
  ConstantExpr(uint32_t at, Value v) : Expr(ExprKind::constant, at), value(std::move(v)) {}
  Value value;
};
struct NameExpr : Expr {
  NameExpr(uint32_t at, std::string n) : Expr(ExprKind::name, at), name(std::move(n)) {}
  std::string name;
};
struct UnaryExpr : Expr {
  using Expr::Expr;
  ExprPtr operand;
};
/// binary, logical_and, logical_or.
struct BinaryExpr : Expr {
  using Expr::Expr;
  BinaryOp op{};
  ExprPtr left, right;
};
struct CompareExpr : Expr {
  explicit CompareExpr(uint32_t at) : Expr(ExprKind::compare, at) {}
  ExprPtr first;
  std::vector<std::pair<CompareOp, ExprPtr>> rest;
};
struct ConditionalExpr : Expr {
  explicit ConditionalExpr(uint32_t at) : Expr(ExprKind::conditional, at) {}
  ExprPtr test, yes, no;  // no may be null
};
/// list, tuple, concat.
struct ItemsExpr : Expr {
  using Expr::Expr;
  std::vector<ExprPtr> items;
};
struct DictExpr : Expr {
  explicit DictExpr(uint32_t at) : Expr(ExprKind::dict, at) {}
  std::vector<std::pair<ExprPtr, ExprPtr>> items;
};
struct AttributeExpr : Expr {
  explicit AttributeExpr(uint32_t at) : Expr(ExprKind::attribute, at) {}
  ExprPtr object;
  std::string name;
};
struct SubscriptExpr : Expr {
  explicit SubscriptExpr(uint32_t at) : Expr(ExprKind::subscript, at) {}
  ExprPtr object, index;
};
struct SliceExpr : Expr {
  explicit SliceExpr(uint32_t at) : Expr(ExprKind::slice, at) {}
  ExprPtr object, start, stop, step;  // all but object may be null
};
struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star, star_star;  // may be null
};
struct CallExpr : Expr {
  explicit CallExpr(uint32_t at) : Expr(ExprKind::call, at) {}
  ExprPtr callee;
  Arguments arguments;
};
/// filter and test. The innermost filter of a block has no operand: it works on the block's text.
struct NamedExpr : Expr {
  using Expr::Expr;
  ExprPtr operand;
  std::string name;
  Arguments arguments;
};

/// What is assigned to: a name, an attribute of a namespace, or several of these.
struct Target {
  uint32_t at = 0;
  std::string name, attribute;
  std::vector<Target> parts;
  bool is_tuple = false;
};

enum class StatementKind : uint8_t {
  text,
  print,
  if_,
  for_,
  set,
  set_block,
  macro,
  call_block,
  filter_block,
  scope,
  refused,
  break_,
  continue_,
};
struct Statement {
  Statement(StatementKind k, uint32_t where) : kind(k), at(where) {}
  virtual ~Statement() = default;
  StatementKind kind;
  uint32_t at;
};
struct Body : std::vector<std::unique_ptr<Statement>> {
  std::vector<std::string> hidden;  ///< names that are undefined until the body sets them, see scopes.h
};

struct TextStatement : Statement {
  TextStatement(uint32_t at, std::string t) : Statement(StatementKind::text, at), text(std::move(t)) {}
  std::string text;
};
struct PrintStatement : Statement {
  explicit PrintStatement(uint32_t at) : Statement(StatementKind::print, at) {}
  std::vector<ExprPtr> items;
};
struct IfStatement : Statement {
  explicit IfStatement(uint32_t at) : Statement(StatementKind::if_, at) {}
  std::vector<std::pair<ExprPtr, Body>> branches;
  Body otherwise;
};
struct ForStatement : Statement {
  explicit ForStatement(uint32_t at) : Statement(StatementKind::for_, at) {}
  Target target;
  ExprPtr iterable, test;  // test may be null
  bool recursive = false;
  Body body, otherwise;
};
struct SetStatement : Statement {
  explicit SetStatement(uint32_t at) : Statement(StatementKind::set, at) {}
  Target target;
  ExprPtr value;
};
/// set_block and filter_block.
struct FilteredStatement : Statement {
  using Statement::Statement;
  Target target;
  ExprPtr filter;  // may be null for set_block
  Body body;
};
/// macro, and call_block, whose body is a macro without a name.
struct MacroStatement : Statement {
  using Statement::Statement;
  std::string name;
  std::vector<std::pair<std::string, ExprPtr>> parameters;  // name, default or null
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;
  Body body;
  ExprPtr call;  // call_block only
};
/// What a chat template cannot do: an error where it is reached, as in jinja2 without a loader.
struct RefusedStatement : Statement {
  RefusedStatement(uint32_t at, std::string w) : Statement(StatementKind::refused, at), why(std::move(w)) {}
  std::string why;
};
/// {% with %}, {% generation %}, {% block %}: names set inside are not seen outside.
struct ScopeStatement : Statement {
  explicit ScopeStatement(uint32_t at) : Statement(StatementKind::scope, at) {}
  std::vector<std::pair<Target, ExprPtr>> values;
  bool is_block = false;
  bool outermost = false;  ///< of a block, which sees no names of the loops and macros around it
  std::string name;        ///< of a block
  Body body;
};

}  // namespace gale::jinja
