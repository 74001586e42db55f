#include "chat/chat_template.h"

#include <algorithm>
#include <cctype>
#include <ctime>
#include <mutex>
#include <optional>
#include <set>

#include "base/fail.h"
#include "base/json.h"
#include "base/log.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/json.h"
#include "chat/jinja/parser.h"

namespace gale {
namespace {

struct Parsed {
  std::string source;  // as it was given
  std::string normalized;
  jinja::Body body;
  std::once_flag probed;
  ChatAbilities abilities;

  explicit Parsed(std::string_view text)
      : source(text), normalized(jinja::normalize_source(text)), body(jinja::parse(normalized)) {}
};

}  // namespace

struct ChatTemplate::Impl {
  Json variables;
  std::unique_ptr<Parsed> standard, with_tools;  // with_tools: where there is a "tool_use"
  std::mutex noting;
  std::set<std::string, std::less<>> noted;

  Parsed& choose(bool tools) { return tools && with_tools ? *with_tools : *standard; }
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

const std::string& ChatTemplate::source(bool with_tools) const { return impl_->choose(with_tools).source; }

ChatTemplate ChatTemplate::parse(std::string_view source, std::string bos_token, std::string eos_token) {
  return parse({{"default", std::string(source)}}, {{"bos_token", std::move(bos_token)}, {"eos_token", std::move(eos_token)}});
}

ChatTemplate ChatTemplate::parse(const std::vector<NamedTemplate>& templates, const Json& variables) {
  const auto named = [&](std::string_view name) {
    return std::find_if(templates.begin(), templates.end(), [&](const NamedTemplate& t) { return t.name == name; });
  };
  auto standard = named("default");
  const auto tools = named("tool_use");
  if (standard == templates.end() && templates.size() == 1) standard = templates.begin();
  if (standard == templates.end()) standard = tools;
  require(standard != templates.end(), ErrorCode::not_found,
          "none of the model's {} chat templates is named \"default\"; choose one with --chat-template", templates.size());
  auto impl = std::make_unique<Impl>();
  impl->variables = variables;
  impl->standard = std::make_unique<Parsed>(standard->source);
  if (tools != templates.end() && tools != standard) impl->with_tools = std::make_unique<Parsed>(tools->source);
  return ChatTemplate(std::move(impl));
}

namespace {

using jinja::Value;

/// The messages as a template sees them, with whose text is whose.
class MessageReader {
 public:
  MessageReader(jinja::Heap& heap, std::string_view source) : heap_(heap), source_(source) {}

  Value all(const Json& messages) const {
    if (!messages.is_array()) return jinja::from_json(heap_, messages, Author::person);
    std::vector<Value> out;
    out.reserve(messages.size());
    for (const Json& message : messages) {
      const bool answer = message.is_object() && message.contains("role") && message["role"] == "assistant";
      out.push_back(object(message, "role", answer ? Author::model : Author::person));
    }
    return heap_.list(std::move(out));
  }

 private:
  /// Templates write '<|' + role + '|>', so that what a field of this name says may be part of a control token's name, if it is
  /// a word of the template's.
  Value object(const Json& json, std::string_view word, Author who) const {
    if (!json.is_object()) return jinja::from_json(heap_, json, who);
    heap_.step();
    jinja::Dict out;
    for (const auto& [name, value] : json.items()) {
      const bool known = name == word && value.is_string() && knows(value.get_ref<const std::string&>());
      out.set(heap_.text(jinja::Str{name, false, who}), name == "content" && word == "role"
                                                            ? content(value, who)
                                                            : jinja::from_json(heap_, value, known ? Author::source : who));
    }
    return heap_.dict(std::move(out));
  }

  Value content(const Json& json, Author who) const {
    if (!json.is_array()) return jinja::from_json(heap_, json, who);
    std::vector<Value> out;
    for (const Json& part : json) out.push_back(object(part, "type", who));
    return heap_.list(std::move(out));
  }

  bool knows(std::string_view word) const {
    const auto plain = [](char c) { return c == '_' || c == '-' || std::isalnum(uint8_t(c)); };
    if (!std::all_of(word.begin(), word.end(), plain)) return false;
    for (const char* usual : {"system", "developer", "user", "assistant", "tool", "function", "ipython", "model"})
      if (word == usual) return true;
    const auto quoted = [&](char quote) { return source_.find(quote + std::string(word) + quote) != source_.npos; };
    return quoted('\'') || quoted('"');
  }

  jinja::Heap& heap_;
  std::string_view source_;
};

/// The variables transformers defines. Those of the caller's own come last but for the messages, so they can replace the rest.
void define_input(jinja::Interpreter& in, const ChatInput& input, const Json& variables, std::string_view source) {
  jinja::define_globals(in);
  in.now = input.now != 0 ? input.now : int64_t(std::time(nullptr));
  for (const auto& [name, value] : variables.items()) in.define(name, jinja::from_json(in.heap, value, Author::source));
  in.define("tools", input.tools ? jinja::from_json(in.heap, *input.tools, Author::person) : Value(jinja::None{}));
  in.define("documents", jinja::None{});
  in.define("add_generation_prompt", input.add_generation_prompt);
  if (input.extra && !input.extra->is_null()) {
    if (!input.extra->is_object()) jinja::raise("the template variables must be an object, not {}", input.extra->type_name());
    for (const auto& [name, value] : input.extra->items()) in.define(name, jinja::from_json(in.heap, value, Author::person));
  }
  in.define("messages", input.messages ? MessageReader(in.heap, source).all(*input.messages) : in.heap.list({}));
}

/// Writes what is left into the budget once a rendering ends, in whatever way.
struct Settling {
  RenderBudget& budget;
  const jinja::Heap& heap;
  ~Settling() { budget = {heap.steps_left(), heap.bytes_left()}; }
};

}  // namespace

PromptText ChatTemplate::write(const ChatInput& input) const {
  const Parsed& parsed = impl_->choose(input.tools != nullptr);
  RenderBudget own;
  RenderBudget& budget = input.budget ? *input.budget : own;
  jinja::Limits limits;
  limits.steps = budget.steps;
  limits.made_bytes = budget.bytes;
  jinja::Interpreter in(limits);
  const Settling settling{budget, in.heap};
  bool running = false;
  try {
    define_input(in, input, impl_->variables, parsed.normalized);
    running = true;
    return in.render(parsed.body);
  } catch (const jinja::Refusal& e) {
    fail(ErrorCode::invalid_argument, "chat template: {}", e.what());
  } catch (const jinja::Failure& e) {
    if (!running) fail(ErrorCode::invalid_argument, "chat template: {}", e.what());
    const jinja::Place place = jinja::place_of(parsed.normalized, in.at());
    fail(ErrorCode::invalid_argument, "chat template, line {}, column {}: {}", place.line, place.column, e.what());
  }
}

const ChatAbilities& ChatTemplate::abilities(bool with_tools) const {
  Parsed& parsed = impl_->choose(with_tools);
  std::call_once(parsed.probed, [&] { parsed.abilities = find_abilities(*this, with_tools); });
  return parsed.abilities;
}

void ChatTemplate::note_once(std::string_view text) const {
  {
    const std::lock_guard lock(impl_->noting);
    if (!impl_->noted.emplace(text).second) return;
  }
  log_warning("chat template: {}", text);
}

}  // namespace gale
