#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "chat/chat_template.h"
#include "chat/jinja/heap.h"
#include "gale/error.h"

namespace gale {
namespace {

const std::filesystem::path kData = std::filesystem::path(GALE_SOURCE_DIR) / "src/chat/testdata";

/// The text of a template, or "error: ..." with what was wrong.
std::string render(const std::string& source, const Json& variables = Json::object()) {
  const Json messages = Json::array();
  ChatInput input;
  input.messages = &messages;
  input.extra = &variables;
  input.now = 1721995200;  // 2024-07-26 12:00 UTC
  try {
    return ChatTemplate::parse(source, "<s>", "</s>").render(input);
  } catch (const Error& e) {
    return std::string("error: ") + e.what();
  }
}

ErrorCode code_of(const std::string& source) {
  const Json messages = Json::array();
  ChatInput input;
  input.messages = &messages;
  try {
    ChatTemplate::parse(source, "", "").render(input);
  } catch (const Error& e) {
    return e.code();
  }
  return ErrorCode::internal;
}

TEST(Jinja, AgreesWithPython) {
  setenv("TZ", "UTC", 1);
  const Json cases = Json::parse(read_text(kData / "cases.json"));
  const Json variables = Json::parse(read_text(kData / "variables.json"));
  ASSERT_GT(cases.size(), 150u);
  for (const Json& c : cases) {
    const std::string source = c[0], text = render(source, variables);
    if (c[1].is_null()) {
      EXPECT_TRUE(text.starts_with("error: ")) << source << "\ngives " << text;
    } else {
      EXPECT_EQ(text, c[1].get<std::string>()) << source;
    }
  }
}

TEST(Jinja, ErrorsSayWhere) {
  EXPECT_EQ(render("a\n  {{ nope.x }}"), "error: chat template, line 2, column 10: 'nope' is undefined");
  EXPECT_EQ(render("{% if %}"), "error: chat template, line 1, column 7: expected an expression, got end of statement block");
  EXPECT_EQ(render("{{ raise_exception('Roles must alternate') }}"), "error: chat template: Roles must alternate");
  EXPECT_EQ(code_of("{% if %}"), ErrorCode::corrupt);
  EXPECT_EQ(code_of("\xff"), ErrorCode::corrupt);
  EXPECT_EQ(code_of("{{ nope.x }}"), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of("{{ raise_exception('x') }}"), ErrorCode::invalid_argument);
  EXPECT_THAT(render("{{ [].append(1) }}"), testing::HasSubstr("cannot change lists"));
  EXPECT_THAT(render("{{ 9223372036854775807 + 1 }}"), testing::HasSubstr("does not fit in 64 bits"));
  EXPECT_THAT(render("{{ 9223372036854775808 }}"), testing::HasSubstr("does not fit in 64 bits"));
}

/// Each of these would take all time or memory, or the stack, if nothing bounded it.
TEST(Jinja, HostileTemplatesEnd) {
  const std::string deep_parentheses(200'000, '('), deep_minus = "{{ " + std::string(200'000, '-') + "1 }}";
  std::string deep_if, long_sum = "{{ 1", long_attribute = "{{ x";
  for (int i = 0; i < 50'000; ++i) deep_if += "{% if 1 %}";
  for (int i = 0; i < 50'000; ++i) long_sum += " + 1";
  for (int i = 0; i < 50'000; ++i) long_attribute += ".x";
  const std::string templates[] = {
      "{{ " + deep_parentheses,
      deep_minus,
      deep_if,
      long_sum + " }}",
      long_attribute + " }}",
      "{{ 'x' * 10**12 }}",
      "{{ [0] * 10**9 }}",
      "{{ 'x' * 9223372036854775807 }}",
      "{{ [[]] * 1000000 * 1000000 }}",
      "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
      "{% for a in range(100000) %}{{ 'x' * 1000000 }}{% endfor %}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% set ns = namespace(s='x') %}{% for a in range(100000) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "{% set ns = namespace(l=[]) %}{% for a in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
      "{% set ns = namespace(l=[1]) %}{% for a in range(100) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l == ns.l }}{{ "
      "ns.l }}",
      "{% set ns = namespace(g=[1]) %}{% for a in range(100000) %}{% set ns.g = ns.g|map('list') %}{% endfor %}",
      "{% set ns = namespace(g=[1]) %}{% for a in range(100000) %}{% set ns.g = [ns.g.count] %}{% endfor %}",
      "{% set ns = namespace(g=[1]) %}{% for a in range(100000) %}{% for i in [ns.g] %}{% set ns.g = loop %}{% endfor %}{% "
      "endfor %}",
      "{{ [[1]]|tojson(indent=1000000000) }}",
      "{{ 'a'|indent(1000000000) }}",
      "{{ 'a'.center(1000000000) }}",
      "{{ '%1000000000d' % 1 }}",
      "{{ '{:1000000000}'.format(1) }}",
      "{{ '%.1000000000f' % 1.0 }}",
      "{{ range(10**18) }}",
      "{{ range(-9223372036854775807, 9223372036854775807) }}",
      "{{ [1]|batch(10**12, 0)|list }}",
      "{{ [1]|slice(10**12)|list }}",
      "{{ strftime_now('%999999999d') }}",
      "{{ 10 ** 10000000 }}",
      "{{ (0).x.y }}",
      "{% set ns = namespace() %}{% set ns.n = ns %}{% set ns.l = [ns] %}{{ ns.l == [ns.l] }}{{ ns.l.x.y }}",
      "{% set s = 'a' * 1000000 %}{% for a in range(100000) %}{% if s.rfind(s) %}{% endif %}{% endfor %}",
      "{% set s = 'a' * 8000000 %}{% set b = 'a' * 4000000 + 'b' %}{% for a in range(100000) %}{{ b in s }}{% endfor %}",
      "{% set ns = namespace(g=[1]) %}{% for a in range(100000) %}{% set ns.g = ns.g|select %}{% endfor %}{{ ns.g|list }}",
      "{{ ('a' * 8000000)|wordwrap(1) }}",
      "{{ (('(' * 99999) ~ ')')|urlize }}{{ (('(' * 199999) ~ ')')|urlize }}",
      "{% set l = [[1]] * 100000 %}{% for i in range(100000) %}{% if l|pprint %}{% endif %}{% endfor %}",
      "{{ ('<' * 4000000 ~ '&#' ~ '9' * 4000000)|striptags|length }}{% for i in range(100000) %}{% if ('<a>' * 100000)|striptags "
      "%}{% endif %}{% endfor %}",
      "{{ 'a\t'.expandtabs(10**10) }}",
      "{% for i in range(100000) %}{% if ('a' * 1000000).translate({}) %}{% endif %}{% endfor %}",
      "{% set ns = namespace(v=1) %}{% for i in range(50000) %}{% set ns.v = namespace(v=ns.v) %}{% endfor %}{{ ns }}",
      "{% set ns = namespace(v=1) %}{% for i in range(50000) %}{% set ns.v = namespace(v=[ns.v]) %}{% endfor %}{{ ns|pprint }}",
      "{{ 'abc'|indent(10**9, true) }}",
      "{{ ['b', 'a'] * 500000|int }}{% for i in range(1000) %}{% if (['b', 'a'] * 500000)|sort %}{% endif %}{% endfor %}",
      "{{ lipsum() }}"};
  for (const std::string& source : templates) {
    const std::string text = render(source);
    EXPECT_TRUE(text.starts_with("error: ")) << source.substr(0, 200) << "\ngives " << text.substr(0, 200);
  }
}

/// As Python prints them.
TEST(Jinja, RingsArePrintedOnce) {
  EXPECT_EQ(render("{% set ns = namespace(a=1) %}{% set ns.v = ns %}{{ ns }}{{ ns.v.v.a }}"),
            "<Namespace {'a': 1, 'v': <Namespace {...}>}>1");
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.v = [ns, {'k': ns}] %}{{ ns.v }}"),
            "[<Namespace {'v': [...]}>, {'k': <Namespace {'v': [...]}>}]");
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.v = (ns,) %}{{ ns.v }}{{ ns.v|pprint }}"),
            "(<Namespace {'v': (...)}>,)(<Namespace {'v': (<Namespace {...}>,)}>,)");
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.v = {'k': ns}.items() %}{{ ns.v }}"),
            "dict_items([('k', <Namespace {'v': ...}>)])");
}

TEST(Jinja, ViewsOfDictsCompareAsSets) {
  EXPECT_EQ(render("{% set d = {'a': 1, 'b': 2} %}{% set v = d.values() %}{{ v == v }}{{ d.values() == d.values() }}"),
            "TrueFalse");
  EXPECT_EQ(render("{{ {'a': 1, 'b': 2}.keys() == {'b': 3, 'a': 4}.keys() }}{{ {'a': 1}.items() == {'a': 2}.items() }}"),
            "TrueFalse");
  EXPECT_EQ(render("{% set d = {'a': 1} %}{% set e = {'a': 1, 'b': 2} %}{{ d.keys() < e.keys() }}{{ e.items() <= d.items() }}"
                   "{{ d.keys() >= d.keys() }}"),
            "TrueFalseTrue");
}

TEST(Jinja, PercentTakesStarsAndLeavesMappingsOver) {
  EXPECT_EQ(render("{{ '%*d|%-*d|%0*d' % (4, 7, 4, 7, 4, 7) }}"), "   7|7   |0007");
  EXPECT_EQ(render("{{ '%*d|%*.*f' % (-4, 7, 6, 2, 3.14159) }}"), "7   |  3.14");
  EXPECT_EQ(render("{{ 'x' % nope }}{{ 'x' % [1] }}{{ 'x' % {'a': 1} }}"), "xxx");
  EXPECT_THAT(render("{{ 'x' % {'a': 1}.values() }}"), testing::HasSubstr("not all arguments converted"));
  EXPECT_THAT(render("{{ '%*d' % (none, 1) }}"), testing::HasSubstr("* wants int"));
}

TEST(Jinja, RingsOfObjectsAreFreed) {  // leaks are seen by the sanitizer build
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.me = ns %}{% macro m() %}{% endmacro %}{% set ns.m = m %}x"), "x");
  EXPECT_EQ(render("{% set ns = namespace() %}{% for i in range(3) %}{% macro m() %}{{ i }}{% endmacro %}{% set ns.m = m %}"
                   "{% set ns.l = loop %}{% endfor %}{{ ns.m() }}"),
            "2");
}

/// Python chooses any element; a prompt that is told again must be the same.
TEST(Jinja, RandomIsTheFirst) {
  EXPECT_EQ(render("{{ [3, 1]|random }}{{ 'ab'|random }}{{ range(5, 9)|random }}{{ (2,)|random }}"), "3a52");
  EXPECT_EQ(render("{{ []|random }}{{ nope|random }}|{{ {}|random is defined }}"), "|False");
  EXPECT_THAT(render("{{ 1|random }}"), testing::HasSubstr("has no len()"));
  EXPECT_THAT(render("{{ {'a': 1}|random }}"), testing::HasSubstr("error"));
}

TEST(Jinja, OneFinalLineBreakIsDropped) {
  EXPECT_EQ(render("a\n"), "a");
  EXPECT_EQ(render("a\n\n"), "a\n");
  EXPECT_EQ(render("a\r\nb\rc"), "a\nb\nc");
}

TEST(ChatTemplate, VariablesOfTheCaller) {
  EXPECT_EQ(render("{{ bos_token }}{{ eos_token }}{{ tools }}{{ documents }}{{ add_generation_prompt }}"), "<s></s>NoneNoneTrue");
  EXPECT_EQ(render("{{ enable_thinking }} {{ bos_token }}", Json{{"enable_thinking", false}, {"bos_token", "!"}}), "False !");
  EXPECT_TRUE(render("x", Json::array()).starts_with("error: "));
  EXPECT_THAT(render("x", Json{{"n", UINT64_MAX}}), testing::HasSubstr("does not fit"));
}

/// Templates that are not ours to keep: their expected texts are stored as hashes, made by testdata/make_cases.py.
std::string digest(const std::string& text) {
  uint64_t h = 0xcbf29ce484222325;
  for (const char c : text) h = (h ^ uint8_t(c)) * 0x100000001b3;
  return fmt::format("{:016x}", h);
}

/// Renders every conversation with every template of a folder that `expected` names, with its text or the digest of it. Gives the
/// number of texts compared.
int compare(const std::filesystem::path& folder, const Json& expected) {
  setenv("TZ", "UTC", 1);
  const Json conversations = Json::parse(read_text(kData / "conversations.json"));
  int checked = 0;
  for (const auto& [name, row] : expected.items()) {
    if (!std::filesystem::exists(folder / name)) continue;
    const ChatTemplate chat = ChatTemplate::parse(read_text(folder / name), "<s>", "</s>");
    for (const Json& c : conversations) {
      ChatInput input;
      input.messages = &c.at("messages");
      input.tools = c.contains("tools") ? &c.at("tools") : nullptr;
      input.extra = c.contains("extra") ? &c.at("extra") : nullptr;
      input.add_generation_prompt = c.at("generation");
      input.now = 1721995200;
      const Json& want = row.at(c.at("name").get<std::string>());
      std::string text;
      try {
        text = chat.render(input);
      } catch (const Error& e) {
        EXPECT_TRUE(want.is_null()) << name << ", " << c.at("name") << ": " << e.what();
        continue;
      }
      EXPECT_TRUE(want == Json(text) || want == Json(digest(text)))
          << name << ", " << c.at("name") << ": " << want << "\nand here:\n"
          << text;
      ++checked;
    }
  }
  return checked;
}

/// Walks over a long text that make nothing cost steps too: 200 of them are far more than a template may have.
TEST(ChatTemplate, LongTextsCostSteps) {
  for (const char* walk : {"a|trim"}) {
    const std::string text =
        render(fmt::format("{{% set a=' '*2000000 %}}{{% for i in range(1000) %}}{{% set x={} %}}{{% endfor %}}", walk));
    EXPECT_TRUE(text.starts_with("error: ")) << walk;
  }
}

/// A megabyte in a thousand turns, all of which the template copies at each: what a long conversation may cost grows with it.
TEST(ChatTemplate, LongConversationsMayCostMore) {
  const std::string source =
      "{% set ns = namespace(s='') %}{% for m in messages %}{% set ns.s = ns.s + m.content %}{% endfor %}{{ ns.s|length }}";
  Json messages = Json::array();
  for (int i = 0; i < 1000; ++i) messages.push_back({{"role", "user"}, {"content", std::string(4000, 'x')}});
  const ChatTemplate chat = ChatTemplate::parse(source, "", "");
  ChatInput input;
  input.messages = &messages;
  EXPECT_EQ(chat.render(input), "4000000");
  // What is not given may not cost as much.
  EXPECT_THAT(render("{% set ns = namespace(s='') %}{% for i in range(1000) %}{% set ns.s = ns.s + 'x' * 4000 %}{% endfor %}"),
              testing::HasSubstr("makes more than"));
}

TEST(Jinja, TextsGiveBackWhatTheyHeld) {
  jinja::Heap heap({.made_bytes = 1 << 20, .held_bytes = 10'000});
  for (int i = 0; i < 100; ++i) heap.text(std::string(5000, 'x'));
  const jinja::Value kept = heap.text(std::string(5000, 'x'));
  EXPECT_THROW(heap.text(std::string(5000, 'x')), jinja::Failure);
}

TEST(ChatTemplate, ProbesShareABudget) {
  const ChatTemplate hostile =
      ChatTemplate::parse("{% for i in range(100000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}", "", "");
  hostile.abilities();  // ends
  const ChatTemplate honest = ChatTemplate::parse("{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}", "", "");
  EXPECT_TRUE(honest.abilities().system_role);
}

TEST(ChatTemplate, AgreesWithTransformers) {
  const char* set = std::getenv("GALE_CONFORMANCE_DATA");
  const auto folder =
      (set ? std::filesystem::path(set) : std::filesystem::path(GALE_SOURCE_DIR) / "../shared/data") / "chat-templates";
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << "skipped: no data";
  EXPECT_GT(compare(folder, Json::parse(read_text(kData / "expected.json"))), 0);
}

TEST(ChatTemplate, OurTemplatesAgreeWithJinja2) {
  EXPECT_GT(compare(kData / "templates", Json::parse(read_text(kData / "templates.json"))), 40);
}

}  // namespace
}  // namespace gale
