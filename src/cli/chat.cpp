#include "cli/chat.h"

#include "base/json.h"
#include "chat/chat_template.h"
#include "cli/text.h"
#include "engine/chat_prompt.h"

namespace gale::cli {

Chat::Chat(const Engine& engine, bool raw, std::string system)
    : engine_(engine),
      tokenizer_(need_tokenizer(engine.tokenizer(), engine.info().source)),
      raw_(raw),
      templated_(!raw && engine.chat_template() != nullptr),
      system_(std::move(system)) {}

std::vector<TokenId> Chat::render() const {
  Json messages = Json::array();
  if (!system_.empty()) messages.push_back({{"role", "system"}, {"content", system_}});
  for (const Turn& turn : turns_) messages.push_back({{"role", turn.role}, {"content", turn.text}});
  ChatInput input;
  input.messages = &messages;
  return chat_prompt(*engine_.chat_template(), tokenizer_, input).tokens;
}

std::vector<TokenId> Chat::ask(const std::string& text) {
  if (!templated_) return tokenizer_.encode(text, {.parse_special = raw_});
  turns_.push_back({"user", text});
  try {
    return render();
  } catch (...) {
    turns_.pop_back();
    throw;
  }
}

void Chat::answered(const std::string& text) {
  if (templated_) turns_.push_back({"assistant", text});
}

void Chat::take_back() {
  if (!turns_.empty() && turns_.back().role == "user") turns_.pop_back();
}

void Chat::clear() { turns_.clear(); }

void Chat::set_system(std::string text) {
  system_ = std::move(text);
  clear();
}

}  // namespace gale::cli
