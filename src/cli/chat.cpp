#include "cli/chat.h"

#include "base/fail.h"
#include "base/json.h"
#include "base/parse_json.h"
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
  if (!templated_) {
    std::vector<TokenId> out = session_ ? tokens_ : std::vector<TokenId>();
    const auto more = tokenizer_.encode(text, {.add_special = out.empty(), .parse_special = raw_});
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  turns_.push_back({"user", text});
  try {
    return render();
  } catch (...) {
    turns_.pop_back();
    throw;
  }
}

void Chat::answered(const std::string& text, std::vector<TokenId> tokens) {
  if (templated_) turns_.push_back({"assistant", text});
  tokens_ = std::move(tokens);
}

void Chat::take_back() {
  if (!turns_.empty() && turns_.back().role == "user") turns_.pop_back();
}

void Chat::clear() {
  turns_.clear();
  tokens_.clear();
}

void Chat::set_system(std::string text) {
  system_ = std::move(text);
  clear();
}

Session Chat::session() const {
  Json note = {{"templated", templated_}};
  if (templated_) {
    note["system"] = system_;
    note["turns"] = Json::array();
    for (const Turn& turn : turns_) note["turns"].push_back({{"role", turn.role}, {"text", turn.text}});
  }
  return {tokens_, note.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

void Chat::resume(const Session& session, const std::string& file) {
  const Json note = parse_json_text(session.note, file);
  try {
    require(note.at("templated").get<bool>() == templated_, ErrorCode::invalid_argument,
            "{} is a session {} a chat template: go on {} --raw", file, templated_ ? "without" : "with",
            templated_ ? "with" : "without");
    if (templated_) {
      const std::string system = note.at("system").get<std::string>();
      require(system_.empty() || system_ == system, ErrorCode::invalid_argument,
              "{} has another system prompt: leave --system out, or name another file", file);
      std::vector<Turn> turns;
      for (const Json& turn : note.at("turns"))
        turns.push_back({turn.at("role").get<std::string>(), turn.at("text").get<std::string>()});
      system_ = system;
      turns_ = std::move(turns);
    }
  } catch (const Json::exception& e) {
    fail(ErrorCode::corrupt, "{}: the session was not written by gale run: {}", file, e.what());
  }
  tokens_ = session.tokens;
  session_ = true;
}

}  // namespace gale::cli
