// Who wrote what, through everything that a template can do with a text.
#include "chat/authors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "chat/chat_template.h"

namespace gale {
namespace {

/// The prompt with what people wrote in « », what the model wrote in ‹ ›.
std::string shown(const PromptText& prompt) {
  std::string out;
  prompt.authors.each(0, prompt.text.size(), [&](size_t begin, size_t end, Author who) {
    const std::string text = prompt.text.substr(begin, end - begin);
    out += who == Author::source ? text : who == Author::person ? "«" + text + "»" : "‹" + text + "›";
  });
  return out;
}

std::string render(const std::string& source, const Json& messages = Json::array()) {
  const Json variables = {{"p", "xY<z"},           {"q", "a b c"}, {"lines", "one\ntwo"}, {"html", "<i>&lt;</i>"},
                          {"url", "http://a.com"}, {"n", 60},      {"d", {{"k<", "v"}}},  {"ss", "ß"},
                          {"fmt", "<{}%s"},        {"day", "<%Y"}};
  ChatInput input;
  input.messages = &messages;
  input.extra = &variables;
  input.now = 1721995200;
  return shown(ChatTemplate::parse(source, "<s>", "</s>").write(input));
}

struct Case {
  const char *expression, *expected;
};

void check(std::initializer_list<Case> cases) {
  for (const Case& c : cases) EXPECT_EQ(render("{{ " + std::string(c.expression) + " }}"), c.expected) << c.expression;
}

TEST(JinjaAuthors, Operators) {
  check({{"p", "«xY<z»"},
         {"bos_token ~ p ~ 1", "<s>«xY<z»1"},
         {"'a' + p + 'b'", "a«xY<z»b"},
         {"('a' ~ p) * 2", "a«xY<z»a«xY<z»"},
         {"('a' ~ p)[0]", "a"},
         {"('a' ~ p)[1]", "«x»"},
         {"('a' ~ p)[:3]", "a«xY»"},
         {"('a' ~ p ~ 'b')[::-1]", "b«z<Yx»a"},
         {"p[:0] ~ 'a'", "a"},
         {"[p, 'a']", "['«xY<z»', 'a']"},
         {"{'a': p, p: 1}", "{'a': '«xY<z»', '«xY<z»': 1}"},
         {"d", "{'«k<»': '«v»'}"},
         {"['a\\n' ~ lines]", "['a\\n«one\\ntwo»']"},
         {"'%s|%r|%5s|%.2s' % (p, p, 'a', p)", "«xY<z»|'«xY<z»'|    a|«xY»"},
         {"fmt % 'a'", "«<{}»a"},
         {"'%c' % n", "«<»"},
         {"'%a' % (ss,)", "'«\\xdf»'"},
         {"namespace(**d)", "<Namespace {'«k<»': '«v»'}>"},
         {"dict(**d)", "{'«k<»': '«v»'}"},
         {"dict(d, a=1)", "{'«k<»': '«v»', 'a': 1}"}});
}

TEST(JinjaAuthors, Methods) {
  check({{"('aß' ~ p ~ 'b').upper()", "ASS«XY<Z»B"},
         {"(ss ~ 'aß').upper()", "«SS»ASS"},
         {"('A' ~ p).lower()", "a«xy<z»"},
         {"(p ~ ' ab').title()", "«Xy<Z» Ab"},
         {"(ss ~ 'A').capitalize()", "«Ss»a"},
         {"('a' ~ p).swapcase()", "A«Xy<Z»"},
         {"(ss ~ 'a').casefold()", "«ss»a"},
         {"('  ' ~ p ~ ' ').strip()", "«xY<z»"},
         {"('a' ~ p).lstrip('ax')", "«Y<z»"},
         {"(p ~ 'a').rstrip('za')", "«xY<»"},
         {"('a ' ~ q).split()", "['a', '«a»', '«b»', '«c»']"},
         {"('a,' ~ q).split(' ', 1)", "['a,«a»', '«b c»']"},
         {"('a ' ~ q).rsplit(' ', 1)", "['a «a b»', '«c»']"},
         {"('a\n' ~ lines).splitlines()", "['a', '«one»', '«two»']"},
         {"('a' ~ p).partition('Y')", "('a«x»', '«Y»', '«<z»')"},
         {"p.rpartition('#')", "('', '', '«xY<z»')"},
         {"p.replace('Y', '|')", "«x»|«<z»"},
         {"'aYb'.replace('Y', p)", "a«xY<z»b"},
         {"p.replace('', '.')", ".«x».«Y».«<».«z»."},
         {"', '.join([p, 'a'])", "«xY<z», a"},
         {"p.join(['a', 'b'])", "a«xY<z»b"},
         {"('a' ~ p).removeprefix('ax')", "«Y<z»"},
         {"(p ~ 'a').removesuffix('za')", "«xY<»"},
         {"p.center(8, '*')", "**«xY<z»**"},
         {"'a'.ljust(3, p[2])", "a«<<»"},
         {"p.rjust(5)", " «xY<z»"},
         {"('-' ~ p).zfill(7)", "-00«xY<z»"},
         {"'{}|{:>6}|{!r}|{:.1}'.format(p, p, p, p)", "«xY<z»|  «xY<z»|'«xY<z»'|«x»"},
         {"'{:{}<3}'.format('a', p[2])", "a«<<»"},
         {"fmt.format('a')", "«<»a«%s»"},
         {"'{:c}'.format(n)", "«<»"},
         {"'{a}'.format_map({'a': p})", "«xY<z»"},
         {"(p ~ '\ta').expandtabs(6)", "«xY<z»  a"},
         {"p.translate({89: '|', 120: none, 122: 60})", "|«<<»"},
         {"('a' ~ p).translate('a'.maketrans('a', '<'))", "«<xY<z»"}});
}

TEST(JinjaAuthors, Filters) {
  check({{"('a' ~ p)|upper", "A«XY<Z»"},
         {"('AB ' ~ p)|title", "Ab «Xy<Z»"},
         {"('a' ~ p)|capitalize", "A«xy<z»"},
         {"(' ' ~ p)|trim", "«xY<z»"},
         {"p|replace('Y', '|')", "«x»|«<z»"},
         {"(1)|replace(1, p)", "«xY<z»"},
         {"p|string|safe", "«xY<z»"},
         {"(p ~ '<')|e", "«xY&lt;z»&lt;"},
         {"('<'|safe) + p", "<«xY&lt;z»"},
         {"p|forceescape", "«xY&lt;z»"},
         {"('a\n' ~ lines)|indent(1, true)", " a\n «one»\n «two»"},
         {"'a\nb'|indent(p)", "a\n«xY<z»b"},
         {"p|center(6)", " «xY<z» "},
         {"q|truncate(4, true, '..', 0)", "«a ».."},
         {"'abcdef'|truncate(5, true, p[2], 0)", "abcd«<»"},
         {"'%s'|format(p)", "«xY<z»"},
         {"{'a': p, p: [p]}|tojson", "{\"a\": \"«xY<z»\", \"«xY<z»\": [\"«xY<z»\"]}"},
         {"lines|tojson", "\"«one\\ntwo»\""},
         {"[1]|tojson(indent=p)", "[\n«xY<z»1\n]"},
         {"[1, 2]|tojson(separators=(p, ':'))", "[1«xY<z»2]"},
         {"[p, 'a']|join('|')", "«xY<z»|a"},
         {"['a', 'b']|join(p)", "a«xY<z»b"},
         {"('a' ~ p)|reverse", "«z<Yx»a"},
         {"('a' ~ p)|list", "['a', '«x»', '«Y»', '«<»', '«z»']"},
         {"('a' ~ p)|first ~ p|last", "a«z»"},
         {"[p, 'a']|map('upper')|join", "«XY<Z»A"},
         {"[p, 'a']|sort|join", "a«xY<z»"},
         {"d|items|list", "[('«k<»', '«v»')]"},
         {"d|dictsort", "[('«k<»', '«v»')]"},
         {"q|wordwrap(3)", "«a b»\n«c»"},
         {"('ab ' ~ q)|wordwrap(4)", "ab «a»\n«b c»"},
         {"[p]|pprint", "['«xY<z»']"},
         {"('a ' ~ q * 30)|pprint|length > 90", "True"},
         {"html|striptags", "«<»"},
         {"('a&' ~ 'lt;' ~ p)|striptags", "a<«xY<z»"},
         {"('&' ~ 'lt' ~ p[:0] ~ url[4:5])|striptags", "<«:»"},
         {"p|urlencode", "«xY%3Cz»"},
         {"{'a': p}|urlencode", "a=«xY%3Cz»"},
         {"url|urlize == url", "False"},
         {"('see ' ~ url)|urlize", "see «<a href=\"http://a.com\" rel=\"noopener\">http://a.com</a>»"},
         {"('a ' ~ p)|urlize", "a «xY&lt;z»"},
         {"{'a': p}|xmlattr", " a=\"«xY&lt;z»\""},
         {"p|default('a') ~ nope|default(p)", "«xY<zxY<z»"},
         {"[{'k': p}]|map(attribute='k')|first", "«xY<z»"},
         {"[{'k': p}]|groupby('k')", "[('«xY<z»', [{'k': '«xY<z»'}])]"},
         {"[p, p]|unique|list", "['«xY<z»']"},
         {"[p]|batch(2, '|')|list", "[['«xY<z»', '|']]"},
         {"strftime_now(day)", "«<2024»"}});
}

TEST(JinjaAuthors, Statements) {
  EXPECT_EQ(render("<s>{{ p }}</s>"), "<s>«xY<z»</s>");
  EXPECT_EQ(render("{% set x %}a{{ p }}{% endset %}{{ x[:2] }}"), "a«x»");
  EXPECT_EQ(render("{% set x | upper %}a{{ p }}{% endset %}{{ x }}"), "A«XY<Z»");
  EXPECT_EQ(render("{% macro m(a) %}[{{ a }}{{ caller() }}]{% endmacro %}{% call m(p) %}b{{ p }}{% endcall %}"),
            "[«xY<z»b«xY<z»]");
  EXPECT_EQ(render("{% macro m() %}{{ kwargs }}{% endmacro %}{{ m(**d) }}"), "{'«k<»': '«v»'}");
  EXPECT_EQ(render("{% filter lower %}A{{ p }}{% endfilter %}"), "a«xy<z»");
  EXPECT_EQ(render("{% set ns = namespace(s='') %}{% for c in p %}{% set ns.s = c ~ ns.s ~ '|' %}{% endfor %}{{ ns.s }}"),
            "«z<Yx»||||");
  EXPECT_EQ(render("{% block b %}{{ p }}{% endblock %}{{ self.b() }}"), "«xY<zxY<z»");
  EXPECT_EQ(render("{% generation %}{{ p }}{% endgeneration %}"), "«xY<z»");
  EXPECT_EQ(render("{% for x in [[p]] recursive %}{{ x if x is string else loop(x) }}{% endfor %}"), "«xY<z»");
}

TEST(JinjaAuthors, Messages) {
  const Json messages = Json::parse(R"([{"role": "user", "content": "<a>", "x<": 1},
    {"role": "assistant", "content": "<b>", "tool_calls": [{"function": {"name": "f", "arguments": {"k": "v"}}}]},
    {"role": "alien", "content": [{"type": "text", "text": "t"}, {"type": "blob"}]},
    {"role": "<|end|>", "content": "image"}])");
  EXPECT_EQ(render("{% for m in messages[:2] %}<|{{ m.role }}|>{{ m.content }}{% endfor %}{{ messages[1].tool_calls }}{{ "
                   "messages[0].keys()|last }}",
                   messages),
            "<|user|>«<a>»<|assistant|>‹<b>›[{'‹function›': {'‹name›': '‹f›', '‹arguments›': {'‹k›': '‹v›'}}}]«x<»");
  // A role or type that neither the template nor everybody knows is somebody's text.
  EXPECT_EQ(
      render("{{ messages[2].role }}{{ messages[2].content[0].type }}{{ messages[2].content[1].type }}{# 'text' #}", messages),
      "«alien»text«blob»");
  EXPECT_EQ(render("{{ messages[2].role }}{{ messages[3].content }}{% if x == 'alien' or x == 'image' %}{% endif %}", messages),
            "alien«image»");
  EXPECT_EQ(render("{{ messages[3].role }}{{ '<|end|>' }}", messages), "«<|end|>»<|end|>");
}

/// Texts are what Python has them: people's signs count once, and are found.
TEST(JinjaAuthors, TextsAreNotChanged) {
  const Json messages = Json::parse(R"([{"role": "user", "content": "<|im_end|>[INST]\ufdd0"}])");
  for (const auto& [expression, expected] :
       std::initializer_list<std::pair<const char*, const char*>>{{"c|length", "17"},
                                                                  {"c == '<|im_end|>[INST]\ufdd0'", "True"},
                                                                  {"'<|im_end|>' in c", "True"},
                                                                  {"c.startswith('<|im_end|>')", "True"},
                                                                  {"c.split('[INST]')|length", "2"},
                                                                  {"c.find('[')", "10"},
                                                                  {"c.replace('<|im_end|>', '')|length", "7"},
                                                                  {"c[10:16] == '[INST]'", "True"},
                                                                  {"c[-1] == '\ufdd0'", "True"}})
    EXPECT_EQ(render("{% set c = messages[0].content %}{{ " + std::string(expression) + " }}", messages), expected) << expression;
}

TEST(Authors, PartsAndSums) {
  Authors a;
  EXPECT_TRUE(a.uniform());
  a.append(0, 3, Author::person);
  EXPECT_EQ(a, Authors(Author::person));
  a.append(3, 2, Author::source);
  a.append(5, 2, Author::source);
  a.append(7, 0, Author::model);
  EXPECT_EQ(a.at(2), Author::person);
  EXPECT_EQ(a.at(3), Author::source);
  EXPECT_EQ(a.least(), Author::person);
  EXPECT_EQ(a.least(3, 7), Author::source);
  EXPECT_EQ(a.part(0, 3), Authors(Author::person));
  EXPECT_EQ(a.part(3, 3), Authors());
  Authors b(Author::model);
  b.append(4, a, 2, 5);
  EXPECT_EQ(b.at(3), Author::model);
  EXPECT_EQ(b.at(4), Author::person);
  EXPECT_EQ(b.at(5), Author::source);
  EXPECT_EQ(b.at(6), Author::source);
}

}  // namespace
}  // namespace gale
