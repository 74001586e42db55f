#include "engine/chat_prompt.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

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

constexpr std::string_view kMark = "\xef\xb7\x90";  // tokenizer/plain_text.h

/// The marker such as "<think>", "[/INST]" or "<|user|>" that begins `text`, or "".
std::string_view marker_at(std::string_view text) {
  constexpr size_t kLongest = 64;
  if (!text.starts_with('<') && !text.starts_with('[')) return "";
  const char last = text[0] == '<' ? '>' : ']';
  for (size_t at = 1; at < std::min(text.size(), kLongest); ++at) {
    if (text[at] == last) return text.substr(0, at + 1);
    if (!is_plain_name(text.substr(at, 1)) && text[at] != '/' && text[at] != '|') return "";
  }
  return "";
}

/// Guards texts of people. Templates may change a text after that (`content.replace("/think", "")`, `|lower`), so that a special
/// token appears which nobody wrote. Therefore a mark stands also behind every sign that special tokens begin with, but in
/// markers that templates look for in texts, such as "<think>".
class Guard {
 public:
  Guard(const Tokenizer& tokenizer, std::string_view source, const PlainText& plain) : plain_(plain), source_(source) {
    for (size_t at = 0; (at = source.find_first_of("<[", at)) != source.npos; ++at) kept_.emplace(marker_at(source.substr(at)));
    for (const TokenId id : tokenizer.added_tokens()) {
      const std::string text = tokenizer.token_text(id);
      if (!tokenizer.is_special(id))
        kept_.insert(text);
      else if (!text.empty() && std::ispunct(uint8_t(text[0])))
        begins_[uint8_t(text[0])] = true;
    }
  }

  std::string text(const std::string& content) const {
    const std::string guarded = plain_.guard(content);
    std::string out;
    for (size_t at = 0; at < guarded.size(); ++at) {
      out += guarded[at];
      const std::string_view rest = std::string_view(guarded).substr(at);
      if (begins_[uint8_t(rest[0])] && !rest.substr(1).starts_with(kMark) && !keeps(rest)) out += kMark;
    }
    return out;
  }

  void json(Json& json) const {
    if (json.is_string()) json = text(json.get<std::string>());
    if (json.is_array())
      for (Json& item : json) this->json(item);
    if (!json.is_object()) return;
    Json out = Json::object();
    for (auto& [name, item] : json.items()) {
      this->json(item);
      out[is_plain_name(name) ? name : text(name)] = std::move(item);
    }
    json = std::move(out);
  }

  /// Templates write '<|' + role + '|>': a role that neither they nor anybody knows must not complete a token's name.
  void message(Json& message) const {
    json(message);
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) return;
    const auto role = message["role"].get<std::string>();
    if (role.empty() || knows(role)) return;
    size_t first = 1;
    while (first < role.size() && (uint8_t(role[first]) & 0xc0) == 0x80) ++first;
    message["role"] = role.substr(0, first) + std::string(kMark) + role.substr(first);
  }

 private:
  bool keeps(std::string_view rest) const {
    const std::string_view marker = marker_at(rest);
    return !marker.empty() && kept_.contains(marker);
  }
  bool knows(std::string_view role) const {
    for (const char* usual : {"system", "developer", "user", "assistant", "tool", "function", "ipython", "model"})
      if (role == usual) return true;
    const auto quoted = [&](char quote) { return source_.find(quote + std::string(role) + quote) != source_.npos; };
    return quoted('\'') || quoted('"');
  }

  const PlainText& plain_;
  std::string_view source_;
  std::set<std::string, std::less<>> kept_;
  std::array<bool, 256> begins_ = {};
};

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
  if (input.extra != nullptr) check_levels(*input.extra, "template variables");
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
  const std::string& source = chat_template.source(!chat.tools.is_null());
  const PlainText plain(tokenizer, source), plain_special(tokenizer);
  const Guard others(tokenizer, source, plain), assistant(tokenizer, source, plain_special);
  for (Json& message : chat.messages)
    (message.is_object() && message.contains("role") && message["role"] == "assistant" ? assistant : others).message(message);
  others.json(chat.tools);
  Json extra = input.extra != nullptr ? *input.extra : Json();
  others.json(extra);
  ChatInput guarded = input;
  guarded.extra = extra.is_null() ? nullptr : &extra;
  const std::string rendered = render(chat_template, chat, guarded);
  return {PlainText::without_marks(rendered), plain.encode(rendered, {.add_special = false})};
}

}  // namespace gale
