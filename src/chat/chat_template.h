#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "chat/abilities.h"
#include "chat/authors.h"

namespace gale {

/// What rendering may cost, less what it has cost. It grows with the texts of the input.
struct RenderBudget {
  int64_t steps = 10'000'000;        ///< of evaluation, about a second
  int64_t bytes = int64_t(1) << 30;  ///< of all values made
};

/// What a chat template is rendered with.
struct ChatInput {
  const Json* messages = nullptr;  ///< array of {"role", "content", ...}, as in the OpenAI API
  const Json* tools = nullptr;     ///< array of tool definitions, or null
  bool add_generation_prompt = true;
  const Json* extra = nullptr;     ///< object of further template variables (chat_template_kwargs), or null
  int64_t now = 0;                 ///< seconds since 1970 for strftime_now; 0: the clock
  RenderBudget* budget = nullptr;  ///< what this and other renderings may cost together, or null: the usual, for this one alone
};

/// One of the templates a model comes with.
struct NamedTemplate {
  std::string name, source;
};

/// A model's chat template: the Jinja that transformers' sandbox offers (trim_blocks, lstrip_blocks, loop controls,
/// raise_exception, strftime_now, tojson, namespace, macros). Immutable after parse; every method may run on any thread.
/// Templates are untrusted: rendering is bounded in steps, output size, depth and memory, and can reach nothing but its input.
class ChatTemplate {
 public:
  /// Throws Error{corrupt} with line and column for a syntax error.
  static ChatTemplate parse(std::string_view source, std::string bos_token, std::string eos_token);
  /// Of several templates "tool_use" is for chats with tools, and "default", or the only one, for all others. `variables`: an
  /// object of what else templates see, such as {"unk_token": "<unk>"}. Throws Error{not_found} where neither is there.
  static ChatTemplate parse(const std::vector<NamedTemplate>& templates, const Json& variables);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  /// The prompt text, exactly as Python's jinja2 renders it. Throws Error{invalid_argument} with the template's own words for
  /// raise_exception, with line and column for errors of evaluation, and where a bound is passed.
  std::string render(const ChatInput& input) const { return write(input).text; }
  /// The same with who wrote what: messages, tools and further variables are people's, an assistant's messages the model's. A
  /// role, or the type of a part of content, that the template or everybody knows is as good as the template's own.
  PromptText write(const ChatInput& input) const;
  /// The template that a chat with or without tools is rendered by.
  const std::string& source(bool with_tools = false) const;
  /// What that template can do, found by rendering probes the first time it is asked for.
  const ChatAbilities& abilities(bool with_tools = false) const;
  /// Logs a note of what is done in the template's stead, once for each text in a template's life.
  void note_once(std::string_view text) const;

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gale
