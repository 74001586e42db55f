#pragma once
#include "chat/jinja/ast.h"
#include "chat/jinja/heap.h"

namespace gale::jinja {

/// Names and their values, inside others. Shared, because a macro keeps the scope it was defined in.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> outer) : parent(std::move(outer)) {}
  /// Null where neither this scope nor one around it has the name, or the first that has it hides it.
  const Value* find(const std::string& name) const;
  void set(const std::string& name, Value value);
  /// Makes names undefined, whatever scopes around this one have; those that this one has stay.
  void hide(const std::vector<std::string>& names);
  /// What the template sets at its top level, inside what the caller defined, at this time.
  std::shared_ptr<Scope> snapshot() const;
  void clear();
  std::shared_ptr<Scope> parent;

 private:
  struct Name {
    std::string text;
    Value value;
    bool hidden = false;
  };
  Name* own(const std::string& name) const;
  Name& make(const std::string& name);
  mutable std::vector<Name> names_;
  std::unordered_map<std::string, size_t> index_;  ///< of names_, where they are too many to look through
};
using ScopePtr = std::shared_ptr<Scope>;

/// Walks one template's tree once. Everything it makes is counted by the heap, and dropped with it.
class Interpreter {
 public:
  explicit Interpreter(const Limits& limits) : heap(limits) {}
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  Heap heap;
  int64_t now = 0;  ///< for strftime_now, seconds since 1970

  void define(const std::string& name, Value value) { root_->set(name, std::move(value)); }
  /// The text of the template. Raises Failure; `at` then tells where.
  PromptText render(const Body& body);
  /// Offset in the source of what was being evaluated.
  uint32_t at() const { return at_; }

  Value call(const Value& callee, const Args& args);
  /// v.name and v[key], as the sandbox of jinja2 resolves them: undefined where there is none.
  Value attribute(const Value& v, std::string_view name);
  Value item(const Value& v, const Value& key);

  /// Counts levels of evaluation, against templates that recurse without end.
  struct Level {
    Level(Interpreter& in, int n) : in_(in), n_(n) {
      in.depth_ += n;
      if (in.depth_ > in.heap.limits().depth) raise_depth(in);
    }
    ~Level() { in_.depth_ -= n_; }
    Interpreter& in_;
    int n_;
  };

 private:
  friend class Macro;
  friend class BlockReference;
  friend class Loop;
  enum class Flow : uint8_t { next, break_, continue_ };
  [[noreturn]] static void raise_depth(Interpreter& in);

  Value eval(const Expr& e);
  Value eval_name(const NameExpr& e);
  Value eval_compare(const CompareExpr& e);
  Value eval_concat(const ItemsExpr& e);
  Value eval_conditional(const ConditionalExpr& e);
  Value eval_items(const ItemsExpr& e);
  Value eval_dict(const DictExpr& e);
  Value eval_slice(const SliceExpr& e);
  Value eval_call(const CallExpr& e, const Value* caller = nullptr);
  Value eval_binary(const BinaryExpr& e);
  Value eval_test(const NamedExpr& e);
  /// `block`: what the innermost filter of a filter block works on.
  Value eval_filter(const NamedExpr& e, const Value* block = nullptr);
  Args eval_arguments(const Arguments& a);

  Flow exec(const Body& body);
  Flow exec(const Statement& s);
  Flow exec_if(const IfStatement& s);
  Flow exec_for(const ForStatement& s);
  Flow run_loop(const ForStatement& s, const Value& iterable, int depth);
  std::optional<Value> filtered(const FilteredStatement& s, Flow& flow);
  Flow exec_set_block(const FilteredStatement& s);
  Flow exec_filter_block(const FilteredStatement& s);
  Flow exec_scope(const ScopeStatement& s);
  Str block_text(const ScopeStatement& s);
  void exec_call_block(const MacroStatement& s);
  Value make_macro(const MacroStatement& s);
  void assign(const Target& target, Value value);
  void print(const Value& v);

  /// Runs `work` with a new scope inside `outer` and gives back what it printed.
  template <class Work>
  Str capture(ScopePtr outer, Work&& work);

  ScopePtr root_ = std::make_shared<Scope>(nullptr);
  ScopePtr scope_ = root_;
  TextBuilder* out_ = nullptr;
  std::vector<ScopePtr> captured_;  ///< scopes that macros hold, which may hold those macros: emptied at the end
  uint32_t at_ = 0;
  int depth_ = 0;
};

}  // namespace gale::jinja
