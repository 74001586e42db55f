#include "engine/chat_prompt.h"

#include "base/fail.h"
#include "base/json.h"
#include "tokenizer/plain_text.h"

namespace gale {
namespace {

constexpr int kMostLevels = 100;  // of a message; what follows goes through it level by level

void guard(const PlainText& plain, Json& json) {
  if (json.is_string()) json = plain.guard(json.get<std::string>());
  if (json.is_structured())
    for (Json& item : json) guard(plain, item);
}

// By a list of what is still to see: a text can nest deeper than a stack.
void check_levels(const Json& json, std::string_view what) {
  std::vector<std::pair<const Json*, int>> open = {{&json, 0}};
  while (!open.empty()) {
    const auto [at, level] = open.back();
    open.pop_back();
    require(level <= kMostLevels, ErrorCode::invalid_argument, "{} are nested more than {} levels deep", what, kMostLevels);
    if (at->is_structured())
      for (const Json& item : *at) open.push_back({&item, level + 1});
  }
}

}  // namespace

ChatPrompt chat_prompt(const ChatTemplate& chat_template, const Tokenizer& tokenizer, const ChatInput& input) {
  // An assistant's turn may hold what its template reads and writes, such as "<think>", but ends no turn.
  const PlainText others(tokenizer, chat_template.source()), assistant(tokenizer);
  if (input.messages != nullptr) check_levels(*input.messages, "messages");
  if (input.tools != nullptr) check_levels(*input.tools, "tools");
  Json messages = input.messages != nullptr ? *input.messages : Json::array(), tools = input.tools ? *input.tools : Json();
  for (Json& message : messages)
    guard(message.is_object() && message.contains("role") && message["role"] == "assistant" ? assistant : others, message);
  guard(others, tools);
  ChatInput guarded = input;
  guarded.messages = &messages;
  if (input.tools != nullptr) guarded.tools = &tools;
  const std::string rendered = chat_template.render(guarded);
  return {PlainText::without_marks(rendered), others.encode(rendered, {.add_special = false})};
}

}  // namespace gale
