#pragma once
#include "chat/jinja/interpreter.h"

namespace gale::jinja {

/// {% macro %}, or the body of {% call %} that the macro called sees as caller().
class Macro : public Object {
 public:
  Macro(const MacroStatement& source, ScopePtr scope) : source_(source), scope_(std::move(scope)) {}
  std::string type_name() const override { return "Macro"; }
  std::string repr() const override {
    return source_.name.empty() ? "<Macro anonymous>" : fmt::format("<Macro '{}'>", source_.name);
  }
  bool callable() const override { return true; }
  Value call(Interpreter& in, const Args& args) override;
  std::optional<Value> attribute(std::string_view name) const override;

 private:
  void bind(Interpreter& in, const Args& args);
  const MacroStatement& source_;
  ScopePtr scope_;
};

/// self.name of a {% block %}.
class BlockReference : public Object {
 public:
  explicit BlockReference(const ScopeStatement& source) : source_(source) {}
  std::string type_name() const override { return "BlockReference"; }
  bool callable() const override { return true; }
  Value call(Interpreter& in, const Args& args) override;

 private:
  const ScopeStatement& source_;
};

/// The variable `self`, which has the template's blocks.
class TemplateReference : public Object {
 public:
  explicit TemplateReference(const Body& body) : body_(body) {}
  std::string type_name() const override { return "TemplateReference"; }
  std::string repr() const override { return "<TemplateReference None>"; }
  std::optional<Value> attribute(std::string_view name) const override;

 private:
  const Body& body_;
};

/// The variable `loop`. It draws the elements one by one, testing each where the loop has an `if`.
class Loop : public Object {
 public:
  Loop(Interpreter& in, const ForStatement& source, ScopePtr outer, std::vector<Value> items, int depth);
  std::string type_name() const override { return "LoopContext"; }
  std::string repr() const override;
  int depth() const override { return depth_; }
  std::optional<Value> attribute(std::string_view name) const override;
  bool callable() const override { return true; }
  /// loop(children) of a recursive loop.
  Value call(Interpreter& in, const Args& args) override;

  /// Moves to the next element and gives it, or nothing.
  std::optional<Value> advance();
  bool changed(std::vector<Value> values);
  int64_t index0() const { return index0_; }

 private:
  std::optional<Value> draw() const;
  const std::optional<Value>& peek() const;
  int64_t length() const;

  Interpreter& in_;
  const ForStatement& source_;
  std::weak_ptr<Scope> outer_;  // weak: the scope may hold this loop in a variable
  mutable std::vector<Value> items_;
  mutable size_t at_ = 0;
  mutable bool tested_ = false;  ///< the rest of items_ has passed the test already
  mutable bool peeked_ = false;
  mutable std::optional<Value> after_;
  mutable int64_t length_known_ = -1;
  std::optional<Value> current_, before_;
  std::optional<std::string> last_changed_;  ///< as text: the value itself could hold this loop
  int64_t index0_ = -1;
  int loop_depth_, depth_;
};

}  // namespace gale::jinja
