#include "engine/chat_prompt.h"

#include "base/fail.h"
#include "base/json.h"
#include "chat/polyfill.h"
#include "tokenizer/plain_text.h"

namespace gale {
namespace {

constexpr int kMostLevels = 100;  // of a message; what follows goes through it level by level

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

struct Rendered {
  PromptText prompt;
  bool with_tools;
};

Rendered render(const ChatTemplate& chat_template, ChatInput input, Fit fit) {
  if (input.messages != nullptr) check_levels(*input.messages, "messages");
  if (input.tools != nullptr) check_levels(*input.tools, "tools");
  if (input.extra != nullptr) check_levels(*input.extra, "template variables");
  if (input.tools != nullptr && input.tools->is_null()) input.tools = nullptr;
  if (fit == Fit::no) return {chat_template.write(input), input.tools != nullptr};
  const FittedChat chat = fit_chat(chat_template, input);
  input.messages = &chat.messages;
  input.tools = chat.tools.is_null() ? nullptr : &chat.tools;
  return {chat_template.write(input), input.tools != nullptr};
}

}  // namespace

std::string chat_text(const ChatTemplate& chat_template, const ChatInput& input, Fit fit) {
  return render(chat_template, input, fit).prompt.text;
}

ChatPrompt chat_prompt(const ChatTemplate& chat_template, const Tokenizer& tokenizer, const ChatInput& input, Fit fit) {
  auto [prompt, with_tools] = render(chat_template, input, fit);
  // An assistant's turn may hold what its template reads and writes, such as "<think>", but ends no turn.
  const PlainText plain(tokenizer, chat_template.source(with_tools));
  std::vector<PlainRange> ranges;
  prompt.authors.each(0, prompt.text.size(), [&](size_t begin, size_t end, Author who) {
    if (who != Author::source) ranges.push_back({begin, end, who == Author::model ? &plain.special() : &plain.markers()});
  });
  std::vector<TokenId> tokens = tokenizer.encode(prompt.text, {.add_special = false, .plain = ranges});
  return {std::move(prompt.text), std::move(tokens)};
}

}  // namespace gale
