#include "chat/polyfill.h"

#include <algorithm>

#include "base/fail.h"
#include "base/parse_json.h"

namespace gale {
namespace {

bool has_role(const Json& message, std::string_view role) {
  const auto found = message.is_object() ? message.find("role") : message.end();
  return message.is_object() && found != message.end() && *found == role;
}

const Json* part(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string to_json(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string text_of(const Json& content) {
  if (content.is_string()) return content.get<std::string>();
  if (content.is_null()) return "";
  if (!content.is_array()) return to_json(content);
  std::string out;
  for (const Json& p : content)
    if (const Json* text = part(p, "text"); text && text->is_string())
      out += (out.empty() ? "" : "\n") + text->get<std::string>();
  return out;
}

bool only_text(const Json& content) {
  return std::all_of(content.begin(), content.end(),
                     [](const Json& p) { return part(p, "text") && part(p, "text")->is_string(); });
}

/// Puts text before a message's content, whichever form that has.
void put_before(Json& message, const std::string& text) {
  Json& content = message["content"];
  if (content.is_array()) {
    const Json* first = content.empty() ? nullptr : part(content[0], "text");
    if (first && first->is_string())
      content[0]["text"] = text + "\n\n" + first->get<std::string>();
    else
      content.insert(content.begin(), Json{{"type", "text"}, {"text", text + "\n\n"}});
  } else {
    const std::string rest = text_of(content);
    content = rest.empty() ? text : text + "\n\n" + rest;
  }
}

/// Arguments of a call as an object where they are JSON in a string.
Json as_object(const Json& arguments) {
  if (!arguments.is_string()) return arguments;
  try {
    Json parsed = parse_json_text(arguments.get_ref<const std::string&>(), "arguments");
    return parsed.is_object() ? parsed : arguments;
  } catch (const Error&) {  // whatever a model wrote there
    return arguments;
  }
}

class Fitter {
 public:
  Fitter(const ChatTemplate& t, const ChatInput& input) : template_(t), can_(t.abilities(input.tools != nullptr)) {
    chat_.messages = input.messages ? *input.messages : Json::array();
    if (input.tools) chat_.tools = *input.tools;
  }

  FittedChat run() {
    for (Json& message : chat_.messages) name_reasoning(message);
    describe_tools();
    fit_calls();
    fit_results();
    fold_system();
    for (Json& message : chat_.messages) fit_content(message);
    return std::move(chat_);
  }

 private:
  /// As transformers does, which renders "thinking" and "reasoning" as "reasoning_content", and gives gpt-oss its own name.
  static void name_reasoning(Json& message) {
    if (!message.is_object()) return;
    for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
      const Json* found = part(message, name);
      if (!found) continue;
      const Json reasoning = *found;
      if (!message.contains("thinking")) message["thinking"] = reasoning;
      message["reasoning_content"] = reasoning;
      return;
    }
  }

  void describe_tools() {
    if (can_.tools || !chat_.tools.is_array() || chat_.tools.empty()) return;
    template_.note_once("it has no place for tools; they are described in the system prompt");
    std::string text = "You have access to the following tools:\n\n";
    for (const Json& tool : chat_.tools) text += to_json(part(tool, "function") ? tool["function"] : tool) + "\n";
    text += "\nTo call a tool, answer with JSON only: {\"tool_calls\": [{\"name\": ..., \"arguments\": {...}}]}";
    chat_.tools = nullptr;
    if (!chat_.messages.empty() && has_role(chat_.messages[0], "system")) {
      Json& content = chat_.messages[0]["content"];
      if (content.is_array())
        content.push_back({{"type", "text"}, {"text", text}});
      else
        content = content.is_string() && !content.get_ref<const std::string&>().empty() ? text_of(content) + "\n\n" + text : text;
    } else {
      chat_.messages.insert(chat_.messages.begin(), Json{{"role", "system"}, {"content", text}});
    }
  }

  void fit_calls() {
    if (can_.tool_calls && !can_.parallel_calls) separate_calls();
    for (Json& message : chat_.messages) {
      if (!part(message, "tool_calls") || !message["tool_calls"].is_array()) continue;
      if (can_.tool_calls)
        fit_arguments(message["tool_calls"]);
      else
        write_calls(message);
      if (part(message, "tool_calls") && !can_.null_content && !part(message, "content")) message["content"] = "";
    }
  }

  void fit_arguments(Json& calls) const {
    for (Json& call : calls) {
      if (!call.is_object()) continue;
      Json& holder = part(call, "function") ? call["function"] : call;
      const auto arguments = holder.is_object() ? holder.find("arguments") : holder.end();
      if (!holder.is_object() || arguments == holder.end()) continue;
      if (can_.object_arguments)
        *arguments = as_object(*arguments);
      else if (arguments->is_object())
        *arguments = to_json(*arguments);
    }
  }

  void write_calls(Json& message) const {
    template_.note_once("it has no place for tool calls; they are written as JSON in the assistant's turn");
    Json calls = Json::array();
    for (const Json& call : message["tool_calls"]) {
      const Json& function = part(call, "function") ? call["function"] : call;
      Json out = Json::object();
      if (const Json* name = part(function, "name")) out["name"] = *name;
      if (const Json* arguments = part(function, "arguments")) out["arguments"] = as_object(*arguments);
      calls.push_back(std::move(out));
    }
    const std::string said = text_of(message.value("content", Json()));
    message["content"] = (said.empty() ? "" : said + "\n\n") + to_json(Json::object({{"tool_calls", calls}}));
    message.erase("tool_calls");
  }

  /// A message with two calls becomes two messages, each followed by the result of its call.
  void separate_calls() {
    Json out = Json::array();
    for (size_t i = 0; i < chat_.messages.size(); ++i) {
      const Json& message = chat_.messages[i];
      const Json* calls = part(message, "tool_calls");
      if (!calls || !calls->is_array() || calls->size() < 2) {
        out.push_back(message);
        continue;
      }
      template_.note_once("it takes one tool call a message; parallel calls are shown one after the other");
      size_t end = i + 1;
      while (end < chat_.messages.size() && has_role(chat_.messages[end], "tool")) ++end;
      std::vector<bool> used(end - i - 1);
      for (size_t c = 0; c < calls->size(); ++c) {
        Json single = message;
        single["tool_calls"] = Json::array();
        single["tool_calls"].push_back((*calls)[c]);
        if (c > 0) single["content"] = "", single.erase("reasoning_content"), single.erase("thinking");
        out.push_back(std::move(single));
        const Json* id = part((*calls)[c], "id");
        for (size_t r = 0; r < used.size(); ++r) {
          const Json* of = part(chat_.messages[i + 1 + r], "tool_call_id");
          const bool mine = id && of ? *id == *of : r == c;
          if (!used[r] && mine) used[r] = true, out.push_back(chat_.messages[i + 1 + r]);
        }
      }
      for (size_t r = 0; r < used.size(); ++r)
        if (!used[r]) out.push_back(chat_.messages[i + 1 + r]);
      i = end - 1;
    }
    chat_.messages = std::move(out);
  }

  /// Results that follow each other become one user's turn: many templates want turns to alternate.
  void fit_results() {
    if (can_.tool_results) return;
    Json out = Json::array();
    bool after_result = false;
    for (const Json& message : chat_.messages) {
      const bool result = has_role(message, "tool");
      if (!result) {
        out.push_back(message);
      } else {
        template_.note_once("it has no place for tool results; they are written as JSON in the user's turn");
        Json response = Json::object();
        for (const char* name : {"name", "tool_call_id"})
          if (const Json* value = part(message, name)) response[name] = *value;
        response["content"] = text_of(message.value("content", Json()));
        const std::string text = to_json(Json::object({{"tool_response", response}}));
        if (after_result)
          out.back()["content"] = out.back()["content"].get<std::string>() + "\n" + text;
        else
          out.push_back({{"role", "user"}, {"content", text}});
      }
      after_result = result;
    }
    chat_.messages = std::move(out);
  }

  void fold_system() {
    if (can_.system_role) return;
    Json out = Json::array();
    std::string waiting;
    for (Json& message : chat_.messages) {
      if (has_role(message, "system")) {
        template_.note_once("it has no system role; the system prompt goes into the next user turn");
        const std::string text = text_of(message.value("content", Json()));
        waiting += (waiting.empty() || text.empty() ? "" : "\n\n") + text;
        continue;
      }
      if (!waiting.empty() && has_role(message, "user")) put_before(message, std::exchange(waiting, ""));
      out.push_back(std::move(message));
    }
    if (!waiting.empty()) out.push_back({{"role", "user"}, {"content", waiting}});
    chat_.messages = std::move(out);
  }

  void fit_content(Json& message) const {
    if (!part(message, "content")) return;
    Json& content = message["content"];
    if (content.is_array() && !can_.content_parts && can_.text_content) {
      require(only_text(content), ErrorCode::unsupported,
              "a message has parts that are no text, but the model's chat template takes only text; send the text alone");
      template_.note_once("it takes content as a string only; parts of text are joined");
      content = text_of(content);
    } else if (content.is_string() && !can_.text_content && can_.content_parts) {
      Json parts = Json::array();
      parts.push_back(Json{{"type", "text"}, {"text", content}});
      content = std::move(parts);
    }
  }

  const ChatTemplate& template_;
  const ChatAbilities& can_;
  FittedChat chat_;
};

}  // namespace

FittedChat fit_chat(const ChatTemplate& chat_template, const ChatInput& input) { return Fitter(chat_template, input).run(); }

}  // namespace gale
