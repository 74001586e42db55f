#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/json_fwd.h"

namespace gale {

/// What a chat template is rendered with.
struct ChatInput {
  const Json* messages = nullptr;  ///< array of {"role", "content", ...}, as in the OpenAI API
  const Json* tools = nullptr;     ///< array of tool definitions, or null
  bool add_generation_prompt = true;
  const Json* extra = nullptr;  ///< object of further template variables (chat_template_kwargs), or null
  int64_t now = 0;              ///< seconds since 1970 for strftime_now; 0: the clock
};

/// A Hugging Face chat template: the Jinja subset that transformers' sandbox offers (trim_blocks, lstrip_blocks, loop controls,
/// raise_exception, strftime_now, tojson, namespace, macros). Immutable after parse; render() may run on any thread.
/// Templates are untrusted: rendering is bounded in steps, output size, depth and memory, and can reach nothing but its input.
class ChatTemplate {
 public:
  /// Throws Error{corrupt} with line and column for a syntax error.
  static ChatTemplate parse(std::string_view source, std::string bos_token, std::string eos_token);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  /// The prompt text. Throws Error{invalid_argument} with the template's own words for raise_exception, with line and column for
  /// errors of evaluation, and where a bound is passed.
  std::string render(const ChatInput& input) const;
  const std::string& source() const;

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gale
