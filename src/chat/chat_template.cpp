#include "chat/chat_template.h"

#include <algorithm>
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

/// The variables transformers defines. Those of the caller's own come last but for the messages, so they can replace the rest.
void define_input(jinja::Interpreter& in, const ChatInput& input, const Json& variables) {
  using jinja::Value;
  jinja::define_globals(in);
  in.now = input.now != 0 ? input.now : int64_t(std::time(nullptr));
  for (const auto& [name, value] : variables.items()) in.define(name, jinja::from_json(in.heap, value));
  in.define("tools", input.tools ? jinja::from_json(in.heap, *input.tools) : Value(jinja::None{}));
  in.define("documents", jinja::None{});
  in.define("add_generation_prompt", input.add_generation_prompt);
  if (input.extra && !input.extra->is_null()) {
    if (!input.extra->is_object()) jinja::raise("the template variables must be an object, not {}", input.extra->type_name());
    for (const auto& [name, value] : input.extra->items()) in.define(name, jinja::from_json(in.heap, value));
  }
  in.define("messages", input.messages ? jinja::from_json(in.heap, *input.messages) : in.heap.list({}));
}

/// Writes what is left into the budget once a rendering ends, in whatever way.
struct Settling {
  RenderBudget& budget;
  const jinja::Heap& heap;
  ~Settling() { budget = {heap.steps_left(), heap.bytes_left()}; }
};

}  // namespace

std::string ChatTemplate::render(const ChatInput& input) const {
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
    define_input(in, input, impl_->variables);
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
