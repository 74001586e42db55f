#include "chat/polyfill.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "gale/error.h"

namespace gale {
namespace {

const std::filesystem::path kData = std::filesystem::path(GALE_SOURCE_DIR) / "src/chat/testdata";

ChatTemplate open(const std::string& name) {
  return ChatTemplate::parse(read_text(kData / "templates" / (name + ".jinja")), "<s>", "</s>");
}

/// The prompt of a conversation that has been fitted to the template.
std::string fitted(const std::string& name, const Json& messages, const Json& tools = nullptr) {
  const ChatTemplate chat_template = open(name);
  ChatInput input;
  input.messages = &messages;
  if (!tools.is_null()) input.tools = &tools;
  const FittedChat chat = fit_chat(chat_template, input);
  input.messages = &chat.messages;
  input.tools = chat.tools.is_null() ? nullptr : &chat.tools;
  return chat_template.render(input);
}

/// A list: Json{a} may be a itself, as compilers like.
template <class... Items>
Json list(Items... items) {
  Json out = Json::array();
  (out.push_back(std::move(items)), ...);
  return out;
}
Json say(const char* role, Json content) { return {{"role", role}, {"content", std::move(content)}}; }
Json call(const char* id, Json arguments) {
  return {{"id", id}, {"type", "function"}, {"function", {{"name", "f"}, {"arguments", std::move(arguments)}}}};
}
Json calls(Json list) { return {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", std::move(list)}}; }
Json result(const char* id, const char* content) {
  return {{"role", "tool"}, {"tool_call_id", id}, {"name", "f"}, {"content", content}};
}
Json text(const char* t) { return {{"type", "text"}, {"text", t}}; }
Json image() { return Json::object({{"type", "image"}}); }
Json x(int n) { return Json::object({{"x", n}}); }
const Json kTools =
    Json::parse(R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}])");

TEST(Abilities, AreFoundByProbes) {
  const ChatAbilities full = open("full").abilities();
  EXPECT_TRUE(full.text_content && full.content_parts && full.system_role && full.tools && full.tool_calls &&
              full.parallel_calls && full.tool_results && full.reasoning && full.object_arguments && full.null_content);
  EXPECT_FALSE(full.text_arguments);  // |tojson would write a string as a string

  const ChatAbilities turns = open("alternating").abilities();
  EXPECT_TRUE(turns.text_content);
  EXPECT_FALSE(turns.content_parts || turns.system_role || turns.tools || turns.tool_calls || turns.parallel_calls ||
               turns.tool_results || turns.reasoning);

  const ChatAbilities one = open("one_call").abilities();
  EXPECT_TRUE(one.text_content && one.system_role && one.tools && one.tool_calls && one.tool_results && one.text_arguments);
  EXPECT_FALSE(one.content_parts || one.parallel_calls || one.reasoning || one.object_arguments);

  const ChatAbilities parts = open("parts").abilities();
  EXPECT_TRUE(parts.content_parts && parts.system_role);
  EXPECT_FALSE(parts.text_content || parts.tools || parts.tool_calls);
}

TEST(Polyfill, LeavesAloneWhatTheTemplateCanDo) {
  const Json messages = list(say("system", "S"), say("user", list(text("a"), text("b"))),
                             calls(list(call("1", x(1)), call("2", x(2)))), result("1", "r1"), result("2", "r2"));
  EXPECT_EQ(
      fitted("full", messages, kTools),
      "<|system|>\nS\n# Tools\n{\"type\": \"function\", \"function\": {\"name\": \"f\", \"description\": \"d\", \"parameters\": "
      "{\"type\": \"object\"}}}\n<|end|>\n<|user|>\nab<|end|>\n<|assistant|>\n\n<call>{\"name\": \"f\", \"arguments\": {\"x\": "
      "1}}</call>\n<call>{\"name\": \"f\", \"arguments\": {\"x\": 2}}</call><|end|>\n<|tool|>\nr1<|end|>\n<|tool|>\nr2<|end|>\n"
      "<|assistant|>\n");
}

TEST(Polyfill, ArgumentsTakeTheFormTheTemplateWants) {
  EXPECT_THAT(fitted("full", list(say("user", "u"), calls(list(call("1", R"({"x": 1})"))))),
              testing::HasSubstr(R"("arguments": {"x": 1})"));
  EXPECT_THAT(fitted("full", list(say("user", "u"), calls(list(call("1", "no json"))))),
              testing::HasSubstr(R"("arguments": "no json")"));
  EXPECT_EQ(fitted("one_call", list(say("user", "u"), calls(list(call("1", x(1)))))), "[user u]\n[call f {\"x\":1}]\n");
}

TEST(Polyfill, ReasoningHasEveryName) {
  for (const char* name : {"reasoning_content", "reasoning", "thinking"}) {
    Json answer = say("assistant", "a");
    answer[name] = "why";
    EXPECT_THAT(fitted("full", list(say("user", "u"), answer)), testing::HasSubstr("<think>why</think>\na")) << name;
  }
}

TEST(Polyfill, TheSystemPromptGoesIntoTheUsersTurn) {
  EXPECT_EQ(fitted("alternating", list(say("system", "S"), say("user", "u"))), "<s><turn>user\nS\n\nu</turn>\n<turn>assistant\n");
  EXPECT_EQ(fitted("alternating", list(say("system", list(text("S"))), say("user", list(text("a"), text("b"))))),
            "<s><turn>user\nS\n\na\nb</turn>\n<turn>assistant\n");
  EXPECT_EQ(fitted("alternating", list(say("user", "u"), say("assistant", "a"), say("system", "S"), say("user", "v"))),
            "<s><turn>user\nu</turn>\n<turn>assistant\na</turn>\n<turn>user\nS\n\nv</turn>\n<turn>assistant\n");
  EXPECT_EQ(fitted("alternating", list(say("system", "S"))), "<s><turn>user\nS</turn>\n<turn>assistant\n");
  EXPECT_EQ(fitted("alternating", list(say("system", ""), say("user", "u"))), "<s><turn>user\nu</turn>\n<turn>assistant\n");
}

TEST(Polyfill, ToolsAreDescribedAndCallsWritten) {
  const std::string described =
      "You have access to the following "
      "tools:\n\n{\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"type\":\"object\"}}\n\nTo call a "
      "tool, answer with JSON only: {\"tool_calls\": [{\"name\": ..., \"arguments\": {...}}]}";
  EXPECT_EQ(fitted("alternating", list(say("user", "u")), kTools),
            "<s><turn>user\n" + described + "\n\nu</turn>\n<turn>assistant\n");
  const Json messages = list(say("system", "S"), say("user", "u"), calls(list(call("1", R"({"x": 1})"), call("2", x(2)))),
                             result("1", "r1"), result("2", "r2"));
  EXPECT_EQ(
      fitted("alternating", messages, kTools),
      "<s><turn>user\nS\n\n" + described +
          "\n\nu</"
          "turn>\n<turn>assistant\n{\"tool_calls\":[{\"name\":\"f\",\"arguments\":{\"x\":1}},{\"name\":\"f\",\"arguments\":{"
          "\"x\":2}}]}</turn>\n<turn>user\n{\"tool_response\":{\"name\":\"f\",\"tool_call_id\":\"1\",\"content\":\"r1\"}}\n"
          "{\"tool_response\":{\"name\":\"f\",\"tool_call_id\":\"2\",\"content\":\"r2\"}}</turn>\n<turn>assistant\n");
}

TEST(Polyfill, OneCallAMessage) {
  const Json messages = list(say("user", "u"), calls(list(call("1", "{}"), call("2", "{}"))), result("2", "second"),
                             result("1", "first"), say("user", "v"));
  EXPECT_EQ(fitted("one_call", messages), "[user u]\n[call f {}]\n[result first]\n[call f {}]\n[result second]\n[user v]\n");
}

TEST(Polyfill, ContentTakesTheFormTheTemplateWants) {
  EXPECT_EQ(fitted("parts", list(say("user", "u"))), "USER: u\nASSISTANT:");
  EXPECT_EQ(fitted("parts", list(say("user", list(text("u"), image())))), "USER: u <image>\nASSISTANT:");
  EXPECT_EQ(fitted("one_call", list(say("user", list(text("a"), text("b"))))), "[user a\nb]\n");
  try {
    fitted("one_call", list(say("user", list(text("a"), image()))));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
  }
}

TEST(Polyfill, DeepArgumentsStayText) {
  const std::string deep = R"({"a": )" + std::string(50'000, '[') + std::string(50'000, ']') + R"(, "b": 1})";
  const Json call = {{"id", "1"}, {"type", "function"}, {"function", {{"name", "f"}, {"arguments", deep}}}};
  const Json messages = list(say("user", "u"), Json{{"role", "assistant"}, {"content", ""}, {"tool_calls", Json::array({call})}});
  for (const char* name : {"full", "alternating", "one_call", "parts"}) {
    try {
      fitted(name, messages, Json());
    } catch (const Error&) {
    }
  }
}

/// Conversations of any shape are fitted or refused, not run into.
TEST(Polyfill, OddMessages) {
  for (const char* messages :
       {"[]", "[1, null, \"x\"]", "[{}]", R"([{"role": 1, "content": {}}])",
        R"([{"role": "assistant", "tool_calls": [1, {}, {"function": 2}]}])", R"([{"role": "tool"}])", R"([{"role": "system"}])",
        R"([{"role": "user", "content": [1, [], {"text": 3}]}])",
        R"([{"role": "assistant", "content": 5, "tool_calls": [{"function": {"name": 3}}, {"function": {}}]}])"}) {
    for (const char* name : {"full", "alternating", "one_call", "parts"}) {
      for (const Json& tools : {Json(), Json::array(), Json::array({1, Json::object()}), Json("x")}) {
        try {
          fitted(name, Json::parse(messages), tools);
        } catch (const Error&) {
        }
      }
    }
  }
}

TEST(ChatTemplate, NamedTemplates) {
  const Json messages = list(say("user", "u")), tools = Json::array();
  const auto render = [&](const std::vector<NamedTemplate>& all, bool with_tools) {
    ChatInput input;
    input.messages = &messages;
    if (with_tools) input.tools = &tools;
    return ChatTemplate::parse(all, Json::object({{"unk_token", "?"}})).render(input);
  };
  EXPECT_EQ(render({{"default", "D{{ unk_token }}"}, {"tool_use", "T"}, {"rag", "R"}}, false), "D?");
  EXPECT_EQ(render({{"default", "D"}, {"tool_use", "T"}, {"rag", "R"}}, true), "T");
  EXPECT_EQ(render({{"default", "D"}, {"rag", "R"}}, true), "D");
  EXPECT_EQ(render({{"rag", "R"}}, false), "R");
  EXPECT_THROW(render({{"rag", "R"}, {"other", "O"}}, false), Error);
  EXPECT_THROW(render({}, false), Error);
}

}  // namespace
}  // namespace gale
