#include "engine/chat_prompt.h"

#include "base/json.h"
#include "tokenizer/plain_text.h"

namespace gale {
namespace {

void guard_text(const PlainText& plain, Json& text) {
  if (text.is_string()) text = plain.guard(text.get<std::string>());
}

// A content is a text or a list of parts.
void guard_content(const PlainText& plain, Json& content) {
  guard_text(plain, content);
  if (!content.is_array()) return;
  for (Json& part : content) {
    guard_text(plain, part);
    if (part.is_object() && part.contains("text")) guard_text(plain, part["text"]);
  }
}

}  // namespace

ChatPrompt chat_prompt(const ChatTemplate& chat_template, const Tokenizer& tokenizer, const ChatInput& input) {
  const PlainText plain(tokenizer);
  Json messages = input.messages != nullptr ? *input.messages : Json::array();
  for (Json& message : messages)
    if (message.is_object() && message.contains("content") && message.value("role", Json()) != Json("assistant"))
      guard_content(plain, message["content"]);
  ChatInput guarded = input;
  guarded.messages = &messages;
  const std::string rendered = chat_template.render(guarded);
  return {PlainText::without_marks(rendered), plain.encode(rendered, {.add_special = false})};
}

}  // namespace gale
