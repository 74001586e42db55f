#include "chat/chat_template.h"

#include <ctime>

#include "base/fail.h"
#include "base/json.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/json.h"
#include "chat/jinja/parser.h"

namespace gale {

struct ChatTemplate::Impl {
  std::string source;  // as it was given
  std::string normalized;
  std::string bos_token, eos_token;
  jinja::Body body;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

const std::string& ChatTemplate::source() const { return impl_->source; }

ChatTemplate ChatTemplate::parse(std::string_view source, std::string bos_token, std::string eos_token) {
  auto impl = std::make_unique<Impl>();
  impl->source = std::string(source);
  impl->normalized = jinja::normalize_source(source);
  impl->bos_token = std::move(bos_token);
  impl->eos_token = std::move(eos_token);
  impl->body = jinja::parse(impl->normalized);
  return ChatTemplate(std::move(impl));
}

namespace {

/// The variables transformers defines. Those of the caller's own come last but for the messages, so they can replace the rest.
void define_input(jinja::Interpreter& in, const ChatInput& input, const std::string& bos, const std::string& eos) {
  using jinja::Value;
  jinja::define_globals(in);
  in.now = input.now != 0 ? input.now : int64_t(std::time(nullptr));
  in.define("bos_token", Value::constant(bos));
  in.define("eos_token", Value::constant(eos));
  in.define("tools", input.tools ? jinja::from_json(in.heap, *input.tools) : Value(jinja::None{}));
  in.define("documents", jinja::None{});
  in.define("add_generation_prompt", input.add_generation_prompt);
  if (input.extra && !input.extra->is_null()) {
    if (!input.extra->is_object()) jinja::raise("the template variables must be an object, not {}", input.extra->type_name());
    for (const auto& [name, value] : input.extra->items()) in.define(name, jinja::from_json(in.heap, value));
  }
  in.define("messages", input.messages ? jinja::from_json(in.heap, *input.messages) : in.heap.list({}));
}

}  // namespace

std::string ChatTemplate::render(const ChatInput& input) const {
  jinja::Interpreter in{jinja::Limits{}};
  bool running = false;
  try {
    define_input(in, input, impl_->bos_token, impl_->eos_token);
    running = true;
    return in.render(impl_->body);
  } catch (const jinja::Refusal& e) {
    fail(ErrorCode::invalid_argument, "chat template: {}", e.what());
  } catch (const jinja::Failure& e) {
    if (!running) fail(ErrorCode::invalid_argument, "chat template: {}", e.what());
    const jinja::Place place = jinja::place_of(impl_->normalized, in.at());
    fail(ErrorCode::invalid_argument, "chat template, line {}, column {}: {}", place.line, place.column, e.what());
  }
}

}  // namespace gale
