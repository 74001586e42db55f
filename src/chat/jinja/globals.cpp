// The functions every template can call.
#include <ctime>

#include "chat/jinja/filters.h"

namespace gale::jinja {
namespace {

class FunctionObject : public Object {
 public:
  FunctionObject(std::string name, Function function) : name_(std::move(name)), function_(function) {}
  std::string type_name() const override { return "function"; }
  std::string repr() const override { return "<function " + name_ + ">"; }
  bool callable() const override { return true; }
  Value call(Interpreter& in, const Args& args) override { return function_(in, args); }

 private:
  std::string name_;
  Function function_;
};

/// dict(...), which also has fromkeys.
class DictFunction : public FunctionObject {
 public:
  explicit DictFunction(Function function) : FunctionObject("dict", function) {}
  std::optional<Value> attribute(std::string_view name) const override {
    if (name != "fromkeys") return std::nullopt;
    return Value(ObjectPtr(std::make_shared<FunctionObject>(
        "fromkeys", [](Interpreter& in, const Args& args) { return find_method(in.heap.dict({}), "fromkeys")(in, {}, args); })));
  }
};

/// cycler('a', 'b'): next(), reset() and current.
class Cycler : public Object {
 public:
  explicit Cycler(std::vector<Value> items) : items_(std::move(items)), depth_(depth_around(items_)) {}
  std::string type_name() const override { return "Cycler"; }
  int depth() const override { return depth_; }
  std::optional<Value> attribute(std::string_view name) const override {
    if (name == "current") return items_[at_];
    if (name != "next" && name != "reset") return std::nullopt;
    auto self = std::static_pointer_cast<Cycler>(std::const_pointer_cast<Object>(shared_from_this()));
    return Value(ObjectPtr(std::make_shared<Step>(std::move(self), name == "reset")));
  }

 private:
  class Step : public Object {
   public:
    Step(std::shared_ptr<Cycler> of, bool reset) : of_(std::move(of)), reset_(reset) {}
    std::string type_name() const override { return "method"; }
    int depth() const override { return of_->depth_ + 1; }
    bool callable() const override { return true; }
    Value call(Interpreter&, const Args& args) override {
      const Bound none("cycler", args, {});
      if (reset_) {
        of_->at_ = 0;
        return None{};
      }
      Value current = of_->items_[of_->at_];
      of_->at_ = (of_->at_ + 1) % of_->items_.size();
      return current;
    }

   private:
    std::shared_ptr<Cycler> of_;
    bool reset_;
  };
  std::vector<Value> items_;
  size_t at_ = 0;
  int depth_;
};

/// joiner(', '): nothing the first time it is called, then the separator.
class Joiner : public Object {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  std::string type_name() const override { return "Joiner"; }
  int depth() const override { return separator_.depth() + 1; }
  bool callable() const override { return true; }
  Value call(Interpreter&, const Args& args) override {
    const Bound none("joiner", args, {});
    return std::exchange(used_, true) ? separator_ : Value::constant("");
  }

 private:
  Value separator_;
  bool used_ = false;
};

Value range(Interpreter& in, const Args& args) {
  if (args.positional.empty() || !args.named.empty()) raise("range() takes one to three positional arguments");
  const Bound a("range", args, {"start", "stop", "step"});
  if (!a.has(1)) return in.heap.range(0, a.integer(0, 0), 1);
  return in.heap.range(a.integer(0, 0), a.integer(1, 0), a.integer(2, 1));
}

Value make_dict(Interpreter& in, const Args& args) { return in.heap.dict(dict_from_args(in, "dict", args)); }

Value make_namespace(Interpreter& in, const Args& args) {
  const auto ns = in.heap.make_namespace();
  const Dict fields = dict_from_args(in, "namespace", args);
  for (const auto& [key, value] : fields.items()) {
    if (!key.str()) raise("namespace(): names must be str");
    ns->set(key, value);
  }
  return Value(ObjectPtr(ns));
}

Value raise_exception(Interpreter& in, const Args& args) {
  const Bound a("raise_exception", args, {"message"}, 1);
  throw Refusal(to_text(in.heap, a[0]).text.substr(0, 4096));
}

/// A format in the terms of C: Python's clock here has no time zone, and its own letter for microseconds.
std::string naive_format(std::string_view format) {
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    const char c = format[i], next = i + 1 < format.size() ? format[i + 1] : 0;
    if (c != '%' || next == 0) {
      out += c;
      continue;
    }
    ++i;
    if (next == 'f') {
      out += "000000";
    } else if (next != 'z' && next != 'Z') {
      out += c;
      out += next;
    }
  }
  return out;
}

Value strftime_now(Interpreter& in, const Args& args) {
  const Bound a("strftime_now", args, {"format"}, 1);
  const std::string& format = a.text(0);
  if (format.find_first_of("0123456789", 0) != format.npos && format.find('%') != format.npos) {
    // glibc reads digits after % as a width, which could be huge
    for (size_t i = format.find('%'); i != format.npos; i = format.find('%', i + 2)) {
      const size_t end = format.find_first_not_of("_-^#0123456789", i + 1);
      if (end != format.npos && end - i > 3) raise("strftime_now: a width is not supported");
    }
  }
  if (format.size() > 1000) raise("strftime_now: the format is too long");
  if (format.empty()) return Value::constant("");
  const std::time_t time = std::time_t(in.now);
  std::tm local{};
  if (!localtime_r(&time, &local)) raise("strftime_now: the time {} cannot be shown", in.now);
  std::string out(16384, 0);
  out.resize(std::strftime(out.data(), out.size(), naive_format(format).c_str(), &local));
  return in.heap.text(Str{std::move(out), false, a[0].str()->authors.least()});
}

Value cycler(Interpreter& in, const Args& args) {
  if (args.positional.empty() || !args.named.empty()) raise("at least one item has to be provided");
  return Value(ObjectPtr(in.heap.object<Cycler>(args.positional)));
}

Value joiner(Interpreter& in, const Args& args) {
  const Bound a("joiner", args, {"sep"});
  return Value(ObjectPtr(in.heap.object<Joiner>(a.get(0, Value::constant(", ")))));
}

Value lipsum(Interpreter&, const Args&) {
  raise("lipsum() is refused: it is random filler, and the same messages must give the same prompt");
}

}  // namespace

Dict dict_from_args(Interpreter& in, const char* function, const Args& args) {
  if (args.positional.size() > 1) raise("{} expected at most 1 argument, got {}", function, args.positional.size());
  Dict out;
  if (!args.positional.empty()) {
    const Value& from = args.positional[0];
    if (from.is_undefined()) from.raise_undefined();  // asked for its keys
    if (from.dict()) {
      in.heap.step(int64_t(from.dict()->size()));
      out = *from.dict();
    } else {
      for (const Value& pair : iterate(in.heap, from)) {
        const auto parts = iterate(in.heap, pair);
        if (parts.size() != 2) raise("dictionary update sequence element has length {}; 2 is required", parts.size());
        out.set(parts[0], parts[1]);
      }
    }
  }
  for (const auto& [name, value] : args.named) out.set(in.heap.text(Str{name, false, args.names}), value);
  return out;
}

void define_globals(Interpreter& in) {
  static constexpr std::pair<const char*, Function> functions[] = {{"range", range},
                                                                   {"namespace", make_namespace},
                                                                   {"raise_exception", raise_exception},
                                                                   {"strftime_now", strftime_now},
                                                                   {"cycler", cycler},
                                                                   {"joiner", joiner},
                                                                   {"lipsum", lipsum}};
  for (const auto& [name, function] : functions)
    in.define(name, Value(ObjectPtr(std::make_shared<FunctionObject>(name, function))));
  in.define("dict", Value(ObjectPtr(std::make_shared<DictFunction>(make_dict))));
}

}  // namespace gale::jinja
