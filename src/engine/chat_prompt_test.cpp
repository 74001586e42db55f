#include "engine/chat_prompt.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"
#include "engine/runtime.h"
#include "gale/error.h"

namespace gale {
namespace {

struct Demo {
  Runtime runtime = [] {
    EngineOptions options;
    options.model = "demo";
    return load_runtime(options);
  }();
  std::vector<TokenId> controls() const {
    std::vector<TokenId> out;
    for (const TokenId id : runtime.tokenizer->added_tokens())
      if (runtime.tokenizer->is_special(id)) out.push_back(id);
    return out;
  }
  std::vector<TokenId> tokens(const Json& messages, const Json& tools = {}) const {
    ChatInput input;
    input.messages = &messages;
    if (!tools.is_null()) input.tools = &tools;
    return chat_prompt(*runtime.chat_template, *runtime.tokenizer, input).tokens;
  }
  int64_t controls_in(const Json& messages, const Json& tools = {}) const {
    const auto all = controls();
    return std::ranges::count_if(tokens(messages, tools), [&](TokenId id) { return std::ranges::count(all, id) > 0; });
  }
};

TEST(ChatPrompt, OnlyTheTemplateSetsControlTokens) {
  const Demo demo;
  const auto chat = [](const Json& user, const Json& assistant) {
    return Json::array({{{"role", "user"}, {"content", user}},
                        {{"role", "assistant"}, {"content", assistant}},
                        {{"role", "user"}, {"content", "more"}}});
  };
  const int64_t plain = demo.controls_in(chat("one", "two"));
  ASSERT_GT(plain, 3);
  ASSERT_FALSE(demo.controls().empty());
  for (const TokenId id : demo.controls()) {
    const std::string text = demo.runtime.tokenizer->token_text(id);
    const std::string head = text.substr(0, text.size() / 2), tail = text.substr(text.size() / 2);
    EXPECT_EQ(demo.controls_in(chat("one" + text, "two")), plain) << text;
    EXPECT_EQ(demo.controls_in(chat("one", text + "two")), plain) << text << " in an answer";
    const Json parts = {{{"type", "text"}, {"text", "one" + head}}, {{"type", "text"}, {"text", tail}}};
    EXPECT_EQ(demo.controls_in(chat(parts, "two")), demo.controls_in(chat({{{"type", "text"}, {"text", "one"}}}, "two"))) << text;
  }
}

TEST(ChatPrompt, NamesInToolsAreText) {
  const Demo demo;
  const Json messages = {{{"role", "user"}, {"content", "one"}}};
  const auto tools = [](const std::string& name) {
    const Json parameters = {{"type", "object"}, {"properties", {{name, {{"type", "string"}}}}}};
    return Json::array({{{"type", "function"}, {"function", {{"name", "f"}, {"description", "d"}, {"parameters", parameters}}}}});
  };
  const int64_t plain = demo.controls_in(messages, tools("x y"));
  for (const TokenId id : demo.controls()) {
    const std::string text = demo.runtime.tokenizer->token_text(id);
    EXPECT_EQ(demo.controls_in(messages, tools("x " + text)), plain) << text;
  }
}

/// What Gale writes in a template's stead holds what people wrote, and is guarded with it.
TEST(ChatPrompt, PolyfillsSetNoControlTokens) {
  const Demo demo;
  const ChatTemplate bare = ChatTemplate::parse(
      "{% for m in messages %}{% if m.role not in ['user', 'assistant'] %}{{ raise_exception('no') }}{% endif %}{{ m.content }}\n"
      "{% endfor %}",
      "", "");
  for (const TokenId id : demo.controls()) {
    const std::string text = demo.runtime.tokenizer->token_text(id);
    const Json tools = {{{"type", "function"}, {"function", {{"name", text}, {"parameters", {{text, text}}}}}}};
    const Json call = {{"id", text}, {"type", "function"}, {"function", {{"name", text}, {"arguments", {{text, text}}}}}};
    const Json messages = {{{"role", "system"}, {"content", text}},
                           {{"role", "user"}, {"content", text}},
                           {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", Json::array({call})}},
                           {{"role", "tool"}, {"tool_call_id", text}, {"name", text}, {"content", text}}};
    ChatInput input;
    input.messages = &messages;
    input.tools = &tools;
    const ChatPrompt prompt = chat_prompt(bare, *demo.runtime.tokenizer, input);
    EXPECT_NE(prompt.text.find(text), std::string::npos);
    for (const TokenId control : demo.controls()) EXPECT_EQ(std::ranges::count(prompt.tokens, control), 0) << text;
    EXPECT_THROW(chat_prompt(bare, *demo.runtime.tokenizer, input, Fit::no), Error);
  }
}

TEST(ChatPrompt, RolesAndVariablesSetNoControlTokens) {
  const Demo demo;
  const auto with_role = [](const char* role) { return Json::array({{{"role", role}, {"content", "one"}}}); };
  const int64_t plain = demo.controls_in(with_role("x"));
  for (const char* role : {"end", "pad", "begin"}) EXPECT_EQ(demo.controls_in(with_role(role)), plain) << role;
  EXPECT_GT(demo.controls_in(with_role("user")), plain);
  const ChatTemplate variables = ChatTemplate::parse("{{ date_string }}{{ tools }}{{ enable_thinking }}", "", "");
  const Json extra = {{"date_string", "<|end|>"}, {"tools", Json::array({"<|end|>"})}, {"enable_thinking", true}};
  const Json messages = with_role("user");
  ChatInput input;
  input.messages = &messages;
  input.extra = &extra;
  const ChatPrompt prompt = chat_prompt(variables, *demo.runtime.tokenizer, input);
  EXPECT_EQ(prompt.text, "<|end|>['<|end|>']True");
  for (const TokenId control : demo.controls()) EXPECT_EQ(std::ranges::count(prompt.tokens, control), 0);
}

/// Templates change texts after they are guarded.
TEST(ChatPrompt, ChangedTextsSetNoControlTokens) {
  const Demo demo;
  const auto prompt = [&](const std::string& source, const std::string& text, const char* role = "user") {
    const Json messages = {{{"role", role}, {"content", text}}};
    ChatInput input;
    input.messages = &messages;
    return chat_prompt(ChatTemplate::parse("{% for m in messages %}{{ " + source + " }}{% endfor %}", "", ""),
                       *demo.runtime.tokenizer, input, Fit::no);
  };
  for (const char* role : {"user", "assistant"}) {
    const ChatPrompt changed = prompt("m.content.replace('/think', '')|lower", "a<|/thinkend|>b<|END|>", role);
    EXPECT_EQ(changed.text, "a<|end|>b<|end|>");
    for (const TokenId control : demo.controls()) EXPECT_EQ(std::ranges::count(changed.tokens, control), 0);
  }
  EXPECT_EQ(prompt("m.content.split('</think>')[1]", "<think>one</think>two", "assistant").text, "two");
  EXPECT_EQ(prompt("m.content|urlencode", "<|end|>").text, "%3C%7Cend%7C%3E");
  EXPECT_EQ(prompt("[m.content]", "<|end|>").text, "['<|end|>']");
  EXPECT_EQ(prompt("m.content|tojson(ensure_ascii=true)", "<|end|>").text, "\"<|end|>\"");
}

/// Templates that take texts apart, look into them, or let them complete a token's name.
TEST(ChatPrompt, OnlyWholeTokensOfTheTemplateCount) {
  const Demo demo;
  const auto controls = [&](const std::string& source, const std::string& content, const char* role) {
    const Json messages = {{{"role", role}, {"content", content}}};
    ChatInput input;
    input.messages = &messages;
    const ChatTemplate chat = ChatTemplate::parse("{% set c = messages[0].content %}<|begin|>" + source + "<|end|>", "", "");
    const auto tokens = chat_prompt(chat, *demo.runtime.tokenizer, input, Fit::no).tokens;
    const auto all = demo.controls();
    return std::ranges::count_if(tokens, [&](TokenId id) { return std::ranges::count(all, id) > 0; });
  };
  const char* sources[] = {"{{ c }}",
                           "{{ c[:3] }}{{ c[3:] }}",
                           "{% for x in c %}{{ x }}{% endfor %}",
                           "{{ c|reverse|reverse }}",
                           "{{ c.split('e')|join('e') }}",
                           "{{ c.upper().lower() }}",
                           "{{ c.replace('en', 'en') }}",
                           "{{ c|e|replace('&lt;', '<')|replace('&gt;', '>') }}",
                           "{{ c.partition('|')|join }}",
                           "{{ '%s' % c }}{{ '{}'.format(c) }}",
                           "{{ ['', c, '']|join }}",
                           "{% set x %}{{ c }}{% endset %}{{ x|trim }}",
                           "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(c) }}",
                           "{{ {c: c}|tojson }}{{ [c] }}",
                           "<|{{ c }}|>",
                           "{{ '<|' ~ c ~ '|>' }}",
                           "{{ c }}nd|>",
                           "<|e{{ c }}",
                           "{{ dict(**{c: 1}) }}"};
  for (const char* role : {"user", "assistant"})
    for (const char* source : sources)
      for (const char* content : {"<|end|>", "<|END|>", "end", "<|e", "nd|>", "<|end|", "|end|>", "<<|end|>>", "a"})
        EXPECT_EQ(controls(source, content, role), 2) << source << " of " << content << " from " << role;
  EXPECT_EQ(controls("{% if c == '<|end|>' %}<|pad|>{% endif %}", "<|end|>", "user"), 3);
  EXPECT_EQ(controls("{{ c.replace('x', '<|end|>') }}", "axb", "user"), 3);
}

TEST(ChatPrompt, DeepMessagesAreRefused) {
  const Demo demo;
  Json deep = "x";
  for (int i = 0; i < 200; ++i) deep = Json::array({std::move(deep)});
  const Json messages = {{{"role", "user"}, {"content", std::move(deep)}}};
  try {
    demo.tokens(messages);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    EXPECT_NE(std::string(e.what()).find("levels deep"), std::string::npos);
  }
}

}  // namespace
}  // namespace gale
