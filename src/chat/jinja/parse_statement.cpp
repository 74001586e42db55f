#include <algorithm>

#include "base/fail.h"
#include "chat/jinja/parser.h"
#include "chat/jinja/scopes.h"
#include "chat/jinja/text.h"

namespace gale::jinja {

Body parse(std::string_view source) {
  require(source.size() <= (4u << 20), ErrorCode::corrupt, "chat template: {} bytes are too many (limit 4 MiB)", source.size());
  require(valid_utf8(source), ErrorCode::corrupt, "chat template: the text is not UTF-8");
  return Parser(source).template_body();
}

void Parser::check_known(size_t before) const {
  if (unknown_.size() > before) error_at(unknown_[before].at, unknown_[before].what);
}

Body Parser::template_body() {
  Body body = statements({});
  check_known(0);
  find_hidden_names(body);
  return body;
}

void Parser::expect_block_end() {
  if (now().kind != TokenKind::block_end) error(fmt::format("expected end of statement block, got {}", describe()));
  advance();
}

/// Statements up to a tag named in `ends`, which becomes the current token; up to the end of the template where none is named.
Body Parser::statements(std::initializer_list<std::string_view> ends) {
  const Nesting nesting(*this);
  Body body;
  while (now().kind != TokenKind::end) {
    if (now().kind == TokenKind::text) {
      const Token& token = advance();
      body.push_back(std::make_unique<TextStatement>(token.at, token.text));
    } else if (now().kind == TokenKind::print_begin) {
      auto node = std::make_unique<PrintStatement>(advance().at);
      node->items.push_back(tuple());
      if (now().kind != TokenKind::print_end) error(fmt::format("expected end of print statement, got {}", describe()));
      advance();
      body.push_back(std::move(node));
    } else {
      advance();  // block_begin
      if (std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return is_name(end); })) return body;
      body.push_back(statement());
      expect_block_end();
    }
  }
  if (ends.size() > 0) error(fmt::format("unexpected end of template: '{}' is missing", std::data(ends)[ends.size() - 1]));
  return body;
}

/// From the end of the opening tag to the closing one's name.
Body Parser::body_until(std::string_view end) {
  skip_op(":");
  expect_block_end();
  const size_t unknown = unknown_.size();
  const bool own_names = end != "endif" && end != "endautoescape";
  inner_ += own_names;
  Body body = statements({end});
  inner_ -= own_names;
  if (end != "endif") check_known(unknown);
  advance();
  return body;
}

std::unique_ptr<Statement> Parser::statement() {
  const uint32_t at = now().at;
  const std::string tag = expect_any_name();
  if (tag == "if") return if_statement(at);
  if (tag == "for") return for_statement(at);
  if (tag == "set") return set_statement(at);
  if (tag == "macro") return macro_statement(at);
  if (tag == "call") return call_statement(at);
  if (tag == "filter") return filter_statement(at);
  if (tag == "with") return with_statement(at);
  if (tag == "generation") return generation_statement(at);
  if (tag == "block") return block_statement(at);
  if (tag == "print") return print_statement(at);
  if (tag == "break") return loop_control(at, StatementKind::break_);
  if (tag == "continue") return loop_control(at, StatementKind::continue_);
  if (tag == "autoescape") return autoescape_statement(at);
  if (tag == "extends" && inner_ > 0) error_at(at, "cannot use extend from a non top-level scope");
  if (tag == "include" || tag == "import" || tag == "from" || tag == "extends") {
    while (now().kind != TokenKind::block_end && now().kind != TokenKind::end) advance();
    return std::make_unique<RefusedStatement>(at, fmt::format("'{}' is refused: a chat template has only itself", tag));
  }
  error_at(at, fmt::format("encountered unknown tag '{}'", tag));
}

/// Escaping is off already; it cannot be turned on, since a prompt is no HTML.
std::unique_ptr<Statement> Parser::autoescape_statement(uint32_t at) {
  const ExprPtr on = expression();
  const bool off = on->kind == ExprKind::constant && !truth(static_cast<const ConstantExpr&>(*on).value);
  auto node = std::make_unique<ScopeStatement>(at);
  node->body = body_until("endautoescape");
  if (off) return node;
  return std::make_unique<RefusedStatement>(at, "'autoescape' is refused: a prompt is no HTML; |escape escapes one text");
}

std::unique_ptr<Statement> Parser::if_statement(uint32_t at) {
  auto node = std::make_unique<IfStatement>(at);
  const Soft soft(*this);
  while (true) {
    ExprPtr test = tuple(false);
    skip_op(":");
    expect_block_end();
    Body body = statements({"elif", "else", "endif"});
    node->branches.emplace_back(std::move(test), std::move(body));
    if (skip_name("elif")) continue;
    if (advance().text == "else") node->otherwise = body_until("endif");
    return node;
  }
}

std::unique_ptr<Statement> Parser::for_statement(uint32_t at) {
  auto node = std::make_unique<ForStatement>(at);
  const size_t stores = loop_stores_.size();
  node->target = target(false, "in");
  expect_name("in");
  node->iterable = tuple(false);
  const size_t before_test = specials();
  if (skip_name("if")) node->test = expression();
  const size_t after_test = specials();
  node->recursive = skip_name("recursive");
  skip_op(":");
  expect_block_end();
  ++loops_, ++inner_;
  const size_t unknown = unknown_.size();
  node->body = statements({"else", "endfor"});
  check_known(unknown);
  --loops_, --inner_;
  if (advance().text == "else") node->otherwise = body_until("endfor");
  move_to_end(before_test, after_test);
  if (loop_stores_.size() > stores) error_at(loop_stores_[stores], "can't assign to special loop variable in for-loop target");
  return node;
}

std::unique_ptr<Statement> Parser::loop_control(uint32_t at, StatementKind kind) {
  if (loops_ == 0) error_at(at, "'break' and 'continue' must be inside a loop");
  return std::make_unique<Statement>(kind, at);
}

std::unique_ptr<Statement> Parser::set_statement(uint32_t at) {
  Target to = target(true);
  if (skip_op("=")) {
    auto node = std::make_unique<SetStatement>(at);
    node->target = std::move(to);
    node->value = tuple();
    return node;
  }
  auto node = std::make_unique<FilteredStatement>(StatementKind::set_block, at);
  node->target = std::move(to);
  node->filter = filter(nullptr);
  node->body = body_until("endset");
  return node;
}

std::unique_ptr<Statement> Parser::filter_statement(uint32_t at) {
  auto node = std::make_unique<FilteredStatement>(StatementKind::filter_block, at);
  const size_t before = specials();
  node->filter = filter(nullptr, true);
  const size_t after = specials();
  node->body = body_until("endfilter");
  move_to_end(before, after);
  return node;
}

/// Parameters, where they are given, and body of a macro or call block. For a call block the call stands between the two.
void Parser::macro_parts(MacroStatement& macro, std::string_view end) {
  const bool is_call = macro.kind == StatementKind::call_block;
  const size_t parameters = specials();
  if (!is_call || is_op("(")) {
    expect_op("(");
    while (!is_op(")")) {
      if (!macro.parameters.empty()) expect_op(",");
      std::string name = target_name();
      set(name);
      ExprPtr fallback = skip_op("=") ? expression() : nullptr;
      const bool after_default = !macro.parameters.empty() && macro.parameters.back().second;
      if (!fallback && after_default) error("non-default argument follows default argument");
      macro.parameters.emplace_back(std::move(name), std::move(fallback));
    }
    expect_op(")");
  }
  stores_first(parameters);
  if (is_call) {
    const size_t call = specials();
    macro.call = expression();
    move_to_end(parameters, call);
    if (macro.call->kind != ExprKind::call) error_at(macro.at, "expected a call");
  }
  const int loops = std::exchange(loops_, 0);
  const size_t body = specials();
  macro.body = body_until(end);
  macro.uses_varargs = special_since(body, "varargs");
  macro.uses_kwargs = special_since(body, "kwargs");
  macro.uses_caller = special_since(body, "caller");
  for (const auto& [name, fallback] : macro.parameters) {
    if (name == "varargs") macro.uses_varargs = false;  // a parameter like others
    if (name == "kwargs") macro.uses_kwargs = false;
    if (macro.uses_caller && name == "caller" && !fallback)
      error_at(macro.at, "the parameter 'caller' must be left out or have a default");
  }
  loops_ = loops;
}

std::unique_ptr<Statement> Parser::macro_statement(uint32_t at) {
  auto node = std::make_unique<MacroStatement>(StatementKind::macro, at);
  node->name = target_name();
  macro_parts(*node, "endmacro");
  return node;
}

std::unique_ptr<Statement> Parser::call_statement(uint32_t at) {
  auto node = std::make_unique<MacroStatement>(StatementKind::call_block, at);
  macro_parts(*node, "endcall");
  return node;
}

std::unique_ptr<Statement> Parser::with_statement(uint32_t at) {
  auto node = std::make_unique<ScopeStatement>(at);
  const size_t before = specials(), loop_stores = loop_stores_.size();
  while (now().kind != TokenKind::block_end && !is_op(":")) {
    if (!node->values.empty()) expect_op(",");
    Target to = target(false);
    expect_op("=");
    node->values.emplace_back(std::move(to), expression());
  }
  stores_first(before);
  loop_stores_.resize(loop_stores);
  node->body = body_until("endwith");
  return node;
}

std::unique_ptr<Statement> Parser::block_statement(uint32_t at) {
  auto node = std::make_unique<ScopeStatement>(at);
  const std::string name = expect_any_name();
  node->is_block = true;
  node->name = name;
  node->outermost = !skip_name("scoped");
  const bool required = skip_name("required");
  if (!blocks_.insert(name).second) error_at(at, fmt::format("block '{}' defined twice", name));
  const int loops = std::exchange(loops_, 0);  // jinja2 compiles the body to a function of its own
  const size_t outside = specials();
  node->body = body_until("endblock");
  specials_.resize(outside);
  loops_ = loops;
  skip_name(name);
  if (!required) return node;
  for (const auto& s : node->body) {
    const bool blank = s->kind == StatementKind::text &&
                       static_cast<const TextStatement&>(*s).text.find_first_not_of(" \t\n\r\f\v") == std::string::npos;
    if (!blank) error_at(at, "required blocks can only contain comments or whitespace");
  }
  return std::make_unique<RefusedStatement>(at, fmt::format("required block '{}' not found", name));
}

/// A macro that is called on the spot, with nothing.
std::unique_ptr<Statement> Parser::generation_statement(uint32_t at) {
  auto node = std::make_unique<ScopeStatement>(at);
  const int loops = std::exchange(loops_, 0);
  const size_t body = specials();
  node->body = body_until("endgeneration");
  const auto define = [&](const char* name, ExprPtr value) {
    node->values.emplace_back(Target{.at = at, .name = name, .attribute = {}, .parts = {}}, std::move(value));
  };
  if (special_since(body, "varargs")) define("varargs", std::make_unique<ItemsExpr>(ExprKind::tuple, at));
  if (special_since(body, "kwargs")) define("kwargs", std::make_unique<DictExpr>(at));
  if (special_since(body, "caller")) define("caller", std::make_unique<ConstantExpr>(at, Value::undefined("No caller defined")));
  loops_ = loops;
  return node;
}

std::unique_ptr<Statement> Parser::print_statement(uint32_t at) {
  auto node = std::make_unique<PrintStatement>(at);
  while (now().kind != TokenKind::block_end) {
    if (!node->items.empty()) expect_op(",");
    node->items.push_back(expression());
  }
  return node;
}

std::string Parser::target_name() {
  const uint32_t at = now().at;
  std::string name = expect_any_name();
  for (const char* constant : {"true", "false", "none", "True", "False", "None"}) {
    if (name == constant) error_at(at, fmt::format("can't assign to '{}'", name));
  }
  return name;
}

// --- varargs, kwargs and caller ---

void Parser::note(std::string_view name, bool store) {
  for (const std::string_view special : {"varargs", "kwargs", "caller"})
    if (name == special) specials_.push_back({special, store});
}

/// Whether what was read from `begin` of the log on loads the name before anything stores it.
bool Parser::special_since(size_t begin, std::string_view name) const {
  const auto first = std::find_if(specials_.begin() + std::ptrdiff_t(begin), specials_.end(),
                                  [&](const SpecialName& one) { return one.name == name; });
  return first != specials_.end() && !first->store;
}

/// jinja2 visits all targets of a list before the first value.
void Parser::stores_first(size_t begin) {
  std::partition(specials_.begin() + std::ptrdiff_t(begin), specials_.end(), [](const SpecialName& one) { return one.store; });
}

/// jinja2 visits what was read from `begin` to `end` after all that came since.
void Parser::move_to_end(size_t begin, size_t end) {
  const auto at = specials_.begin();
  std::rotate(at + std::ptrdiff_t(begin), at + std::ptrdiff_t(end), specials_.end());
}

Target Parser::one_target(bool with_attribute) {
  Target out;
  out.at = now().at;
  if (is_op("(")) {
    const Nesting nesting(*this);
    advance();
    bool comma = false;
    while (!is_op(")")) {
      out.parts.push_back(one_target(false));
      if (!skip_op(",")) break;
      comma = true;
    }
    expect_op(")");
    out.is_tuple = comma || out.parts.empty();
    return out.is_tuple ? std::move(out) : Target(std::move(out.parts[0]));
  }
  out.name = target_name();
  if (with_attribute && skip_op("."))
    out.attribute = expect_any_name();
  else
    set(out.name);
  if (out.name == "loop" && out.attribute.empty()) loop_stores_.push_back(out.at);
  return out;
}

Target Parser::target(bool with_attribute, std::string_view end_name) {
  Target first = one_target(with_attribute);
  if (!is_op(",")) return first;
  Target out;
  out.at = first.at;
  out.is_tuple = true;
  out.parts.push_back(std::move(first));
  while (skip_op(",")) {
    if (tuple_end(end_name) || is_op("=")) break;
    out.parts.push_back(one_target(with_attribute));
  }
  return out;
}

}  // namespace gale::jinja
