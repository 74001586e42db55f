#include "engine/chat_prompt.h"

#include <algorithm>
#include <cctype>

#include "base/fail.h"
#include "base/json.h"
#include "chat/polyfill.h"
#include "tokenizer/plain_text.h"

namespace gale {
namespace {

constexpr int kMostLevels = 100;  // of a message; what follows goes through it level by level

/// Names as templates ask for them. Others, such as those of a tool's arguments, may be anything.
bool is_plain_name(std::string_view name) {
  return std::ranges::all_of(name, [](char c) { return c == '_' || c == '-' || std::isalnum(uint8_t(c)); });
}

void guard(const PlainText& plain, Json& json) {
  if (json.is_string()) json = plain.guard(json.get<std::string>());
  if (json.is_array())
    for (Json& item : json) guard(plain, item);
  if (!json.is_object()) return;
  Json out = Json::object();
  for (auto& [name, item] : json.items()) {
    guard(plain, item);
    out[is_plain_name(name) ? name : plain.guard(name)] = std::move(item);
  }
  json = std::move(out);
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

FittedChat fitted(const ChatTemplate& chat_template, const ChatInput& input, Fit fit) {
  if (input.messages != nullptr) check_levels(*input.messages, "messages");
  if (input.tools != nullptr) check_levels(*input.tools, "tools");
  if (fit == Fit::yes) return fit_chat(chat_template, input);
  return {input.messages != nullptr ? *input.messages : Json::array(), input.tools != nullptr ? *input.tools : Json()};
}

std::string render(const ChatTemplate& chat_template, const FittedChat& chat, ChatInput input) {
  input.messages = &chat.messages;
  input.tools = chat.tools.is_null() ? nullptr : &chat.tools;
  return chat_template.render(input);
}

}  // namespace

std::string chat_text(const ChatTemplate& chat_template, const ChatInput& input, Fit fit) {
  return render(chat_template, fitted(chat_template, input, fit), input);
}

ChatPrompt chat_prompt(const ChatTemplate& chat_template, const Tokenizer& tokenizer, const ChatInput& input, Fit fit) {
  FittedChat chat = fitted(chat_template, input, fit);
  // An assistant's turn may hold what its template reads and writes, such as "<think>", but ends no turn.
  const PlainText others(tokenizer, chat_template.source(!chat.tools.is_null())), assistant(tokenizer);
  for (Json& message : chat.messages)
    guard(message.is_object() && message.contains("role") && message["role"] == "assistant" ? assistant : others, message);
  guard(others, chat.tools);
  const std::string rendered = render(chat_template, chat, input);
  return {PlainText::without_marks(rendered), others.encode(rendered, {.add_special = false})};
}

}  // namespace gale
