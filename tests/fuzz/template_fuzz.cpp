// Any bytes as a chat template: parsing, probing and rendering must end soon, with a text or a gale::Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "chat/chat_template.h"
#include "chat/polyfill.h"
#include "gale/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const gale::Json messages = gale::Json::parse(R"([
    {"role": "system", "content": "Be terse. 世界"},
    {"role": "user", "content": [{"type": "text", "text": " a,b  c\n"}, {"type": "image"}]},
    {"role": "assistant", "content": null, "tool_calls": [{"id": "abcdefghi", "type": "function",
      "function": {"name": "f", "arguments": {"x": 1, "y": [1.5, true, null]}}}]},
    {"role": "tool", "content": "3", "tool_call_id": "abcdefghi"}])");
  static const gale::Json tools = gale::Json::parse(R"([{"type": "function", "function": {"name": "f", "description": "d",
    "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}}}])");
  gale::ChatInput input;
  input.messages = &messages;
  input.tools = &tools;
  input.now = 1721995200;
  try {
    const std::string_view source(reinterpret_cast<const char*>(data), size);
    const auto chat_template = gale::ChatTemplate::parse(source, "<s>", "</s>");
    (void)chat_template.render(input);
    if (size % 16 != 0) return 0;  // the probes take as long as twenty renderings
    const gale::FittedChat chat = gale::fit_chat(chat_template, input);
    input.messages = &chat.messages;
    input.tools = chat.tools.is_null() ? nullptr : &chat.tools;
    (void)chat_template.render(input);
  } catch (const gale::Error&) {
  }
  return 0;
}
