#pragma once
#include <set>
#include <string>
#include <string_view>

#include "chat/jinja/ast.h"
#include "chat/jinja/lexer.h"

namespace gale::jinja {

/// Parses a normalized source. Throws Error{corrupt} with line and column, also where it is nested too deep.
Body parse(std::string_view source);

/// The recursive descent itself, with the grammar of jinja2/parser.py. Expressions are in parse_expression.cpp, statements in
/// parse_statement.cpp.
class Parser {
 public:
  explicit Parser(std::string_view source) : source_(source), tokens_(tokenize(source)) {}
  Body template_body();

 private:
  struct Nesting;  // counts levels of recursion
  struct Soft;     // what is under a condition
  /// The name of a filter or test that does not exist. jinja2 tells at once, but under a condition only where it is used.
  struct Unknown {
    uint32_t at;
    std::string what;
  };
  /// Where a body names varargs, kwargs or caller. A macro has one of these where the first that its body says of it, in whatever
  /// scope, is no store. The log is in the order in which jinja2 visits its tree, which is not always that of the text.
  struct SpecialName {
    std::string_view name;
    bool store;
  };

  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  bool is_least() const {
    return now().kind == TokenKind::number && now().number.is_int() && now().number.integer() == INT64_MIN;
  }
  const Token& advance() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool is_op(std::string_view op) const { return now().kind == TokenKind::op && now().text == op; }
  bool is_name(std::string_view name) const { return now().kind == TokenKind::name && now().text == name; }
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  void expect_name(std::string_view name);
  std::string expect_any_name();
  void expect_block_end();
  [[noreturn]] void error(const std::string& what) const { syntax_error(source_, now().at, what); }
  [[noreturn]] void error_at(uint32_t at, const std::string& what) const { syntax_error(source_, at, what); }
  std::string describe() const;
  /// At the end of a body with names of its own: raises for the first unknown filter or test since there were `before`.
  void check_known(size_t before) const;

  /// Sets the node's height from its parts' and checks it.
  template <class Node>
  ExprPtr finish(std::unique_ptr<Node> node, std::initializer_list<const Expr*> parts);
  ExprPtr finish_arguments(std::unique_ptr<CallExpr> node);
  void grow(Expr& node, const Expr* part) const;
  void grow(Expr& node, const Arguments& arguments) const;

  ExprPtr expression(bool with_conditional = true);
  ExprPtr conditional();
  ExprPtr logical_or();
  ExprPtr logical_and();
  ExprPtr logical_not();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concatenation();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filter = true);
  ExprPtr primary();
  ExprPtr name_or_constant();
  ExprPtr postfix(ExprPtr node);
  ExprPtr filters_and_tests(ExprPtr node);
  ExprPtr subscript(ExprPtr object);
  ExprPtr call(ExprPtr callee);
  ExprPtr filter(ExprPtr operand, bool named_already = false);
  ExprPtr test(ExprPtr operand);
  ExprPtr list();
  ExprPtr dict();
  /// One expression, or a tuple where commas follow. `end_name` ends it too.
  ExprPtr tuple(bool with_conditional = true, std::string_view end_name = {}, bool in_parentheses = false);
  bool tuple_end(std::string_view end_name) const;
  Arguments arguments();
  std::string dotted_name();
  ExprPtr binary_of(ExprKind kind, BinaryOp op, uint32_t at, ExprPtr left, ExprPtr right);

  Body statements(std::initializer_list<std::string_view> ends);
  Body body_until(std::string_view end);
  std::unique_ptr<Statement> statement();
  std::unique_ptr<Statement> if_statement(uint32_t at);
  std::unique_ptr<Statement> autoescape_statement(uint32_t at);
  std::unique_ptr<Statement> for_statement(uint32_t at);
  std::unique_ptr<Statement> set_statement(uint32_t at);
  std::unique_ptr<Statement> macro_statement(uint32_t at);
  std::unique_ptr<Statement> call_statement(uint32_t at);
  std::unique_ptr<Statement> filter_statement(uint32_t at);
  std::unique_ptr<Statement> with_statement(uint32_t at);
  std::unique_ptr<Statement> block_statement(uint32_t at);
  std::unique_ptr<Statement> generation_statement(uint32_t at);
  std::unique_ptr<Statement> print_statement(uint32_t at);
  std::unique_ptr<Statement> loop_control(uint32_t at, StatementKind kind);
  void macro_parts(MacroStatement& macro, std::string_view end);
  Target target(bool with_attribute, std::string_view end_name = {});
  Target one_target(bool with_attribute);
  std::string target_name();
  void used(std::string_view name) { note(name, false); }
  void set(std::string_view name) { note(name, true); }
  void note(std::string_view name, bool store);
  size_t specials() const { return specials_.size(); }
  bool special_since(size_t begin, std::string_view name) const;
  void stores_first(size_t begin);
  void move_to_end(size_t begin, size_t end);

  std::string_view source_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0;
  int loops_ = 0;  ///< loops around the current statement, within its macro
  int inner_ = 0;  ///< bodies with names of their own around it
  std::vector<SpecialName> specials_;
  std::vector<uint32_t> loop_stores_;  // where something is assigned to `loop`
  std::vector<Unknown> unknown_;
  std::set<std::string> blocks_;
};

struct Parser::Soft {
  explicit Soft(Parser& p) : parser(p), before(p.unknown_.size()) {}
  ~Soft() { parser.unknown_.erase(parser.unknown_.begin() + std::ptrdiff_t(before), parser.unknown_.end()); }
  Parser& parser;
  size_t before;
};

struct Parser::Nesting {
  explicit Nesting(Parser& p) : parser(p) {
    if (++parser.nesting_ > 100) parser.error("the template is nested too deep");
  }
  ~Nesting() { --parser.nesting_; }
  Parser& parser;
};

}  // namespace gale::jinja
