#include "chat/abilities.h"

#include "base/json.h"
#include "chat/chat_template.h"
#include "gale/error.h"

namespace gale {
namespace {

// Words that no template has of its own.
constexpr const char *kUser = "needle-user", *kSystem = "needle-system", *kAnswer = "needle-answer", *kThought = "needle-thought",
                     *kResult = "needle-result", *kTool = "needle_tool", *kOther = "needle_other", *kKey = "needle_key";
constexpr int64_t kNoon = 1721995200;

class Probe {
 public:
  Probe(const ChatTemplate& chat_template, bool with_tools) : template_(chat_template), with_tools_(with_tools) {}

  ChatAbilities run() {
    const auto shows = [&](const Json& messages, std::string_view needle) { return has(render(messages), needle); };
    ChatAbilities out;
    const std::string parts = render(list(user(text_parts())));
    out.text_content = shows(list(user(kUser)), kUser);
    // A template that takes any content for a string prints a list as Python writes it.
    out.content_parts = has(parts, kUser) && !has(parts, "'text'") && !has(parts, "\"text\"");
    first_ = out.text_content ? user(kUser) : user(text_parts());
    out.system_role = shows(list(system(out.text_content), first_), kSystem);
    out.tools = has(render(list(first_), tools()), kTool) || has(render(list(system(out.text_content), first_), tools()), kTool);
    find_calls(out);
    Json thinking = assistant(kAnswer);
    for (const char* name : {"reasoning_content", "thinking"}) thinking[name] = kThought;
    out.reasoning =
        shows(list(first_, thinking), kThought) || shows(list(first_, with_call(thinking, call(kTool, object()))), kThought);
    return out;
  }

 private:
  /// Json{a} may be a itself or a list of it, as compilers like.
  template <class... Items>
  static Json list(Items... items) {
    Json out = Json::array();
    (out.push_back(std::move(items)), ...);
    return out;
  }
  static bool has(std::string_view text, std::string_view needle) { return text.find(needle) != text.npos; }
  static Json message(const char* role, Json content) { return {{"role", role}, {"content", std::move(content)}}; }
  static Json user(Json content) { return message("user", std::move(content)); }
  static Json assistant(Json content) { return message("assistant", std::move(content)); }
  static Json text_parts(const char* text = kUser) { return list(Json{{"type", "text"}, {"text", text}}); }
  static Json system(bool text) { return message("system", text ? Json(kSystem) : text_parts(kSystem)); }
  static Json object() { return Json::object({{kKey, "v"}}); }

  static Json tools() {
    const Json parameters = {{"type", "object"},
                             {"properties", Json::object({{kKey, {{"type", "string"}, {"description", "a value"}}}})},
                             {"required", list(kKey)}};
    return list(
        Json{{"type", "function"}, {"function", {{"name", kTool}, {"description", "a tool"}, {"parameters", parameters}}}});
  }
  // Some templates want ids of nine letters and digits.
  static Json call(const char* name, Json arguments, const char* id = "needle001") {
    return {{"id", id}, {"type", "function"}, {"function", {{"name", name}, {"arguments", std::move(arguments)}}}};
  }
  static Json with_call(Json message, const Json& a) {
    message["tool_calls"] = list(a);
    return message;
  }

  void find_calls(ChatAbilities& out) {
    const auto calls = [&](Json content, const Json& all) {
      Json message = assistant(std::move(content));
      message["tool_calls"] = all;
      return render(list(first_, message));
    };
    const std::string text = Json(object()).dump();
    // The key stands between quotes of JSON or Python, as a tag, or as a name before its value; not between escaped quotes.
    const auto as_object = [&](std::string_view s) { return has(s, kKey) && !has(s, std::string("\\\"") + kKey); };
    const std::string with_object = calls("", list(call(kTool, object())));
    const std::string with_text = calls("", list(call(kTool, text)));
    out.object_arguments = has(with_object, kTool) && as_object(with_object);
    out.text_arguments = has(with_text, kTool) && as_object(with_text);
    out.tool_calls = out.object_arguments || out.text_arguments;
    if (!out.tool_calls) return find_results(out, object());
    const Json arguments = out.object_arguments ? object() : Json(text);
    const std::string both = calls("", list(call(kTool, arguments), call(kOther, arguments, "needle002")));
    out.parallel_calls = has(both, kTool) && has(both, kOther);
    const std::string with_null = calls(nullptr, list(call(kTool, arguments)));
    out.null_content = has(with_null, kTool) && !has(with_null, "None");
    find_results(out, arguments);
  }

  void find_results(ChatAbilities& out, const Json& arguments) {
    Json result = message("tool", kResult);
    result["tool_call_id"] = "needle001";
    result["name"] = kTool;
    const Json asked = with_call(assistant(""), call(kTool, arguments));
    out.tool_results = has(render(list(first_, asked, result)), kResult) ||
                       has(render(list(first_, asked, result, assistant(kAnswer), first_)), kResult);
  }

  /// The text, or nothing where the template refuses the conversation.
  std::string render(const Json& messages, const Json& tools = nullptr) const {
    static const Json none = Json::array();
    ChatInput input;
    input.messages = &messages;
    input.tools = !tools.is_null() ? &tools : with_tools_ ? &none : nullptr;
    input.add_generation_prompt = false;
    input.now = kNoon;
    input.budget = &budget_;
    try {
      return template_.render(input);
    } catch (const Error&) {
      return "";
    }
  }

  const ChatTemplate& template_;
  bool with_tools_;
  mutable RenderBudget budget_ = {.steps = 1'000'000, .bytes = 64 << 20};  // of all probes, honest ones cost a tenth: 0.1 s
  Json first_;                                                             // a user's message in the form that the template takes
};

}  // namespace

ChatAbilities find_abilities(const ChatTemplate& chat_template, bool with_tools) {
  return Probe(chat_template, with_tools).run();
}

}  // namespace gale
