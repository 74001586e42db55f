// The variable `loop`.
#include "chat/jinja/macro.h"
#include "chat/jinja/operators.h"

namespace gale::jinja {
namespace {

/// loop.cycle and loop.changed.
class LoopMethod : public Object {
 public:
  LoopMethod(std::shared_ptr<Loop> loop, bool cycle) : loop_(std::move(loop)), cycle_(cycle) {}
  std::string type_name() const override { return "method"; }
  bool callable() const override { return true; }
  int depth() const override { return loop_->depth() + 1; }
  Value call(Interpreter&, const Args& args) override {
    if (!cycle_) return loop_->changed(args.positional);
    if (args.positional.empty()) raise("no items for cycling given");
    return args.positional[size_t(loop_->index0()) % args.positional.size()];
  }

 private:
  std::shared_ptr<Loop> loop_;
  bool cycle_;
};

}  // namespace

Loop::Loop(Interpreter& in, const ForStatement& source, ScopePtr outer, std::vector<Value> items, int depth)
    : in_(in), source_(source), outer_(outer), items_(std::move(items)), loop_depth_(depth), depth_(depth_around(items_)) {}

std::string Loop::repr() const { return fmt::format("<LoopContext {}/{}>", index0_ + 1, length()); }

const std::optional<Value>& Loop::peek() const {
  if (!peeked_) {
    after_ = draw();
    peeked_ = true;
  }
  return after_;
}

/// Where the loop has a test, all of the rest must be tested to know how many elements there are.
int64_t Loop::length() const {
  if (source_.test && !tested_) {
    std::vector<Value> rest;
    while (auto v = draw()) rest.push_back(std::move(*v));
    items_ = std::move(rest);
    at_ = 0;
    tested_ = true;
  }
  if (!source_.test) return int64_t(items_.size());
  // What has been drawn: the elements up to the current one, and the one peeked at.
  return length_known_ >= 0 ? length_known_ : length_known_ = int64_t(items_.size()) + index0_ + 1 + (peeked_ && after_ ? 1 : 0);
}

std::optional<Value> Loop::advance() {
  std::optional<Value> v = peek();
  peeked_ = false;
  after_.reset();
  if (!v) return v;
  ++index0_;
  before_ = std::move(current_);
  current_ = v;
  return v;
}

bool Loop::changed(std::vector<Value> values) {
  std::string now = to_text(in_.heap, in_.heap.tuple(std::move(values))).text;
  if (last_changed_ == now) return false;
  last_changed_ = std::move(now);
  return true;
}

std::optional<Value> Loop::attribute(std::string_view name) const {
  if (name == "index") return Value(index0_ + 1);
  if (name == "index0") return Value(index0_);
  if (name == "first") return Value(index0_ == 0);
  if (name == "last") return Value(!peek());
  if (name == "length") return Value(length());
  if (name == "revindex") return Value(length() - index0_);
  if (name == "revindex0") return Value(length() - index0_ - 1);
  if (name == "depth") return Value(loop_depth_ + 1);
  if (name == "depth0") return Value(loop_depth_);
  if (name == "previtem") return before_ && index0_ > 0 ? *before_ : Value::undefined("there is no previous item");
  if (name == "nextitem") return peek() ? *peek() : Value::undefined("there is no next item");
  if (name == "cycle" || name == "changed") {
    auto self = std::static_pointer_cast<Loop>(std::const_pointer_cast<Object>(shared_from_this()));
    return Value(ObjectPtr(in_.heap.object<LoopMethod>(std::move(self), name == "cycle")));
  }
  return std::nullopt;
}

}  // namespace gale::jinja
