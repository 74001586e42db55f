"""Random Jinja templates for template_diff.py: all statements, operators, filters, tests and methods, with values that are often
of the wrong type, odd whitespace control, and now and then a broken token."""
import re

TEXTS = ["a", "", " ", "Hello World", "a-b c", "it's", "ÀßŒ ﬁ ǆ", "日本 😀", "x\ty", "<b>&amp; 'q'</b>", "1", "42", "-3.5", "0x1F", "1e3", " pad ",
         "line1\nline2\r\n\nline4", "a,b,,c", "aXbXc", "%s and %d", "{} {0}", "ΑΣ ΣΑΣ", "İı", "a.b.c", "UPPER", "k", "name", "role"]
TEXTS += ["see https://a.b/c?d=e. (www.x.org) me@x.com <http://y.z>", "one two three four five six seven", "tab\there", "x" * 30, "¼ ٣ ²", "a\u0301\u200b"]
TEXTS += ["<|im_end|>", "<|im_start|>", "<|", "|>", "<", "[", "[INST]", "\ufdd0", "<tool_response>", "im_end"]
NUMBERS = ["0", "1", "2", "3", "-1", "-2", "5", "7", "10", "100", "1.0", "2.5", "-0.5", "0.1", "1e20", "1e-7", "3.14159", "123456789", "1_000",
           "0x1f", "0b101", "0o17", "9007199254740993", "1e16", "123456789.123"]
CONSTANTS = ["true", "false", "none", "True", "False", "None"]
NAMES = "abcxyz"
SPACES = ["", "", "", " ", "\n", "\n  ", "  ", "\t", "\n\n", " \n"]
WORDS = ["text", "A", "foo bar", "}", "{", "%}", "é", "#", "'", "\"", "-", "\\n"]

# name -> argument patterns; a pattern is a list of kinds, "key=kind" for a named one.
TEXT_METHODS = {
    "upper": [[]], "lower": [[]], "strip": [[], ["str"], ["none"]], "lstrip": [[], ["str"]], "rstrip": [[], ["str"]], "title": [[]],
    "capitalize": [[]], "swapcase": [[]], "casefold": [[]], "split": [[], ["str"], ["str", "int"], ["none", "int"], ["sep=str", "maxsplit=int"]],
    "rsplit": [[], ["str"], ["str", "int"], ["none", "int"]], "splitlines": [[], ["bool"], ["keepends=bool"]], "replace": [["str", "str"], ["str", "str", "int"]],
    "startswith": [["str"], ["tuple"], ["str", "int"], ["str", "int", "int"]], "endswith": [["str"], ["tuple"], ["str", "int"]],
    "find": [["str"], ["str", "int"], ["str", "int", "int"]], "rfind": [["str"], ["str", "int", "int"]], "index": [["str"]], "rindex": [["str"]],
    "count": [["str"], ["str", "int"], ["str", "int", "int"]], "join": [["list"], ["texts"]], "partition": [["str"]], "rpartition": [["str"]],
    "center": [["int"], ["int", "char"]], "ljust": [["int"], ["int", "char"]], "rjust": [["int"], ["int", "char"]], "zfill": [["int"]],
    "removeprefix": [["str"]], "removesuffix": [["str"]], "expandtabs": [[], ["int"], ["tabsize=int"]], "isdigit": [[]], "isalpha": [[]], "isalnum": [[]],
    "isspace": [[]], "isupper": [[]], "islower": [[]], "istitle": [[]], "isnumeric": [[]], "isdecimal": [[]], "isascii": [[]], "isidentifier": [[]],
    "isprintable": [[]], "format": [["any"], ["any", "any"], ["a=any"]], "format_map": [["dict"]], "encode": [[]], "translate": [["dict"]],
}
LIST_METHODS = {"index": [["any"], ["any", "int"]], "count": [["any"]], "copy": [[]], "append": [["any"]], "pop": [[]], "sort": [[]]}
DICT_METHODS = {"items": [[]], "keys": [[]], "values": [[]], "get": [["key"], ["key", "any"]], "copy": [[]], "update": [["dict"]], "pop": [["key"]]}
NUMBER_METHODS = {"is_integer": [[]], "bit_length": [[]], "conjugate": [[]], "as_integer_ratio": [[]], "bit_count": [[]], "hex": [[]]}
FILTERS = {
    "abs": ("num", [[]]), "attr": ("any", [["key"]]), "batch": ("list", [["int"], ["int", "any"], ["linecount=int", "fill_with=any"]]), "capitalize": ("str", [[]]),
    "center": ("str", [[], ["int"], ["width=int"]]), "count": ("list", [[]]), "d": ("any", [[], ["any"], ["any", "bool"]]),
    "default": ("any", [[], ["any"], ["any", "bool"], ["default_value=any", "boolean=bool"]]),
    "dictsort": ("dict", [[], ["bool"], ["bool", "by"], ["by=by", "reverse=bool"], ["false", "by", "bool"]]), "e": ("str", [[]]), "escape": ("any", [[]]),
    "filesizeformat": ("num", [[], ["bool"], ["binary=bool"]]), "first": ("list", [[]]), "float": ("any", [[], ["any"], ["default=any"]]), "forceescape": ("any", [[]]),
    "format": ("fmt", [["any"], ["any", "any"], ["a=any"], []]), "groupby": ("users", [["path"], ["path", "any"], ["attribute=path", "default=any", "case_sensitive=bool"]]),
    "indent": ("str", [[], ["int"], ["int", "bool"], ["int", "bool", "bool"], ["str"], ["width=int", "first=bool", "blank=bool"]]),
    "int": ("any", [[], ["any"], ["int", "int"], ["base=int"]]), "items": ("dict", [[]]), "join": ("list", [[], ["str"], ["str", "path"], ["d=str", "attribute=path"]]),
    "last": ("list", [[]]), "length": ("any", [[]]), "list": ("any", [[]]), "lower": ("any", [[]]),
    "map": ("list", [["filter"], ["filter", "any"], ["attribute=path"], ["attribute=path", "default=any"], ["filter", "attribute=path"]]),
    "max": ("list", [[], ["bool"], ["attribute=path"]]), "min": ("list", [[], ["case_sensitive=bool"], ["attribute=path"]]), "pprint": ("any", [[]]),
    "reject": ("list", [[], ["test"], ["test", "any"]]), "rejectattr": ("users", [["path"], ["path", "test"], ["path", "test", "any"]]),
    "replace": ("str", [["str", "str"], ["str", "str", "int"], ["old=str", "new=str", "count=int"]]), "reverse": ("any", [[]]),
    "round": ("num", [[], ["int"], ["int", "how"], ["method=how"]]), "safe": ("str", [[]]), "select": ("list", [[], ["test"], ["test", "any"]]),
    "selectattr": ("users", [["path"], ["path", "test"], ["path", "test", "any"]]), "slice": ("list", [["int"], ["int", "any"]]),
    "sort": ("list", [[], ["bool"], ["bool", "bool"], ["attribute=path"], ["reverse=bool", "case_sensitive=bool", "attribute=path"]]), "string": ("any", [[]]),
    "striptags": ("str", [[]]), "sum": ("list", [[], ["path"], ["attribute=path", "start=any"], ["start=any"]]), "title": ("str", [[]]),
    "tojson": ("any", [[], ["indent=int"], ["bool"], ["sort_keys=bool"], ["ensure_ascii=bool", "indent=int"], ["separators=pair"], ["indent=none"]]),
    "trim": ("str", [[], ["str"]]), "truncate": ("str", [[], ["int"], ["int", "bool"], ["int", "bool", "str"], ["int", "bool", "str", "int"], ["length=int", "leeway=int"]]),
    "unique": ("list", [[], ["bool"], ["attribute=path"]]), "upper": ("any", [[]]), "urlencode": ("any", [[]]),
    "urlize": ("str", [[], ["int"], ["int", "bool"], ["target=str"], ["rel=str"]]), "wordcount": ("str", [[]]),
    "wordwrap": ("str", [[], ["int"], ["int", "bool"], ["int", "bool", "str"], ["int", "bool", "str", "bool"], ["width=int"]]),
    "xmlattr": ("dict", [[], ["bool"]]), }
TESTS = {
    "boolean": [], "callable": [], "defined": [], "divisibleby": ["num"], "eq": ["any"], "equalto": ["any"], "escaped": [], "even": [], "false": [],
    "filter": [], "float": [], "ge": ["any"], "gt": ["any"], "greaterthan": ["any"], "in": ["list"], "integer": [], "iterable": [], "le": ["any"],
    "lessthan": ["any"], "lower": [], "lt": ["any"], "mapping": [], "ne": ["any"], "none": [], "number": [], "odd": [], "sameas": ["any"],
    "sequence": [], "string": [], "test": [], "true": [], "undefined": [], "upper": [], 
}
SPECS = ["", "d", "5", "<5", ">5", "^7", "*^9", "=+6", "05d", "+", " ", ",", "_", ".2f", "8.3f", "e", ".3e", "g", ".3g", "%", ".1%", "x", "#x", "X", "o", "b", "#b", "c",
         "s", ".2s", "10s", "n", "z", "05", "<05", ",.2f", "G", "E", "F", "é<4", "é^6", "_x", "#o", "08b", "+.1e", "{}", ".0f", "#g", "-", "0", ",d", "_d", "06.1f"]
PERCENTS = ["%s", "%d", "%5d", "%-5d|", "%05d", "%+d", "% d", "%x", "%#x", "%o", "%X", "%f", "%.2f", "%8.3f", "%e", "%g", "%G", "%r", "%a", "%c", "%%", "%i", "%u", "%.3s",
            "%10s", "%-10s|", "%(a)s", "%(b)d", "%*d", "%", "%z", "%#o", "%E", "%.0f", "%#g", "%ld", "%+.1e", "%0+6.1f", "%-06d|", "%.3d", "%F", "%5%"]


class Templates:
    def __init__(self, rng, variables):
        self.r = rng
        self.variables = list(variables)
        self.names = []
        self.macros = []
        self.loops = 0
        self.budget = rng.choice([1, 2, 3, 4, 6, 10])

    def pick(self, items):
        return self.r.choice(items)

    def chance(self, p):
        return self.r.random() < p

    # --- expressions ---

    def quoted(self, text):
        if self.chance(0.04):
            return self.pick([r"'\x41\u00e9'", r"'\n\t\\'", r"'\101'", r"'\q'", r"'\'", r"'\é'", r"'\U0001F600'", r"'\N{BULLET}'", "'a\\\nb'", r"'\x4'", "'a' 'b'"])
        quote = self.pick("'\"")
        return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote).replace("\n", self.pick(["\n", "\\n"])) + quote

    def text(self):
        return self.quoted(self.pick(TEXTS))

    def number(self):
        return self.pick(NUMBERS)

    def small(self):
        return self.pick(["0", "1", "2", "3", "4", "5", "-1", "-2", "-3", "7", "12", "20", "3", "true"] if self.chance(0.96) else ["1.5", "'a'", "nope", "30"])

    def kind(self, kind, depth):
        """An expression of that kind, and now and then of another."""
        if self.chance(0.02):
            kind = "any"
        if kind == "any":
            kind = "undefined" if self.chance(0.03) else self.pick(["str", "num", "list", "dict", "const", "var", "users", "str"])
        if kind == "str":
            return self.pick([self.text, self.text, lambda: self.pick(["s", "uni", "lines", "spaced", "html", "both", "ctl", "empty", "marks", "turn", "marks", "turn"])])()
        if kind == "num":
            return self.pick([self.number, self.number, lambda: self.pick(["n", "zero", "neg", "pi", "whole", "tiny", "huge", "big", "yes"])])()
        if kind == "list":
            if self.chance(0.4):
                return self.pick(["nums", "words", "mixed", "nested", "users", "range(5)", "range(2, 9, 3)", "range(5, 0, -2)", "d", "s", "d.keys()", "d.values()", "d|items|list"])
            items = [self.expr(depth - 1) for _ in range(self.r.randint(0, 4))]
            return "[" + ", ".join(items) + "]" if self.chance(0.8) else "(" + ", ".join(items) + ("," if items else "") + ")"
        if kind == "dict":
            if self.chance(0.5):
                return self.pick(["d", "deep", "deep.k", "users[0]", "users[1]", "odd"])
            return "{" + ", ".join(f"{self.kind('key', 0)}: {self.expr(depth - 1)}" for _ in range(self.r.randint(0, 3))) + "}"
        if kind == "users":
            return self.pick(["users", "users", "users[:2]", "users + users", "words", "nested", "deep.k.list"])
        if kind == "texts":
            return self.pick(["words", "['a', 'b']", "'abc'", "('x', 'y', 'z')", "words|map('upper')"])
        if kind in ("int", "bool"):
            return self.small() if kind == "int" or self.chance(0.2) else self.pick(["true", "false", "1", "0", "yes"])
        if kind == "fmt":
            return self.quoted("".join(self.pick(PERCENTS) + self.pick(["", " ", "x"]) for _ in range(self.r.randint(1, 2))))
        simple = {"none": ["none"], "false": ["false"], "char": ["'*'", "'é'", "' '", "'ab'"], "key": ["'a'", "'b'", "'name'", "'k'", "'a'", "'c'", "1", "0", "'nope'", "none", "1.0", "(1, 2)", "'items'"],
                  "tuple": ["('a', 'H')", "('x',)", "()"], "by": ["'key'", "'value'", "'other'"], "how": ["'common'", "'ceil'", "'floor'", "'up'"],
                  "path": ["'name'", "'age'", "'tags'", "'tags.0'", "'nope'", "'name,age'", "0", "1", "'0'", "'v'", "'name.0'", "none", "'active'"],
                  "pair": ["(',', ':')", "(', ', ' = ')", "[';', '=']", "('a',)"], "undefined": ["nope", "users[0].nope", "d['nope']", "nums[9]", "nope.x"],
                  "const": CONSTANTS, "filter": [repr(f) for f in FILTERS if f != "random"], "test": [repr(t) for t in TESTS] + ["'=='", "'<'", "'>='", "'!='", "'in'"]}
        if kind in simple:
            return self.pick(simple[kind])
        return self.pick(self.variables + self.names * 3) if kind == "var" else self.pick(list(NAMES))

    def arguments(self, pattern, depth):
        out = []
        for kind in pattern:
            name, _, typed = kind.rpartition("=")
            out.append((name + "=" if name else "") + self.argument(typed, depth))
        return ", ".join(out)

    def argument(self, kind, depth):
        return self.expr(depth - 1) if kind == "any" and depth > 0 and self.chance(0.4) else self.kind(kind, depth)

    def filtered(self, depth, operand=None):
        name = self.pick(list(FILTERS))
        kind, patterns = FILTERS[name]
        pattern = self.pick(patterns)
        operand = operand if operand is not None else self.operand(kind, depth)
        call = f"({self.arguments(pattern, depth)})" if pattern or self.chance(0.1) else ""
        out = f"{operand}{self.pick(['|', '|', ' | '])}{name}{call}"
        lazy = name in ("map", "select", "reject", "selectattr", "rejectattr", "batch", "slice", "unique", "items", "reverse")
        return out + self.pick(["|list", "|list", "|list", "|first", "|join(',')", "|length", ""]) if lazy else out

    def operand(self, kind, depth):
        out = self.expr(depth - 1) if depth > 0 and self.chance(0.4 if kind == "any" else 0.06) else self.kind(kind, depth)
        return out if re.fullmatch(r"\w+|'[^']*'|\[[^\]]*\]", out) else f"({out})"

    def method(self, depth):
        kind, table = self.pick([("str", TEXT_METHODS)] * 6 + [("list", LIST_METHODS), ("dict", DICT_METHODS), ("dict", DICT_METHODS), ("num", NUMBER_METHODS)])
        name = self.pick(list(table))
        if name in ("format", "format_map"):
            return f"{self.quoted(self.braces())}.{name}({self.arguments(self.pick(table[name]), depth)})"
        return f"{self.operand(kind, depth)}.{name}({self.arguments(self.pick(table[name]), depth)})"

    def braces(self):
        def field():
            where = self.pick(["", "", "0", "1", "a", "0.name", "0[0]", "0[name]", "b", "0.upper", "name"])
            return "{" + where + self.pick(["", "", "!r", "!s", "!a", "!x"]) + self.pick(["", "", ":" + self.pick(SPECS)]) + "}"
        return "".join(field() + self.pick(["", " ", "{{", "}}", "é"]) for _ in range(self.r.randint(1, 2)))

    def tested(self, depth):
        name = self.pick(list(TESTS))
        arguments = [self.argument(k, depth) for k in TESTS[name]]
        style = self.pick(["({})", " {}"]) if arguments else "{}"
        if style == " {}" and not re.fullmatch(r"\w+|'[^']*'|\[[^\]]*\]", arguments[0]):
            style = "({})"
        return f"{self.operand('any', depth)} is {self.pick(['', '', 'not '])}{name}{style.format(', '.join(arguments))}"

    def subscript(self, depth):
        base = self.operand(self.pick(["str", "list", "list", "dict"]), depth)
        if self.chance(0.35):
            part = lambda: self.small() if self.chance(0.6) else ""  # noqa: E731
            return f"{base}[{part()}:{part()}{self.pick(['', ':' + part()])}]"
        if self.chance(0.3):
            return f"{base}.{self.pick(['name', 'a', 'items', 'k', '0', 'nope', 'upper', '__class__', '_x', 'real', 'list', 'append', 'start'])}"
        return f"{base}[{self.pick([self.small, lambda: self.kind('key', 0)])()}]"

    def special(self, depth):
        options = ["loop.index", "loop.index0", "loop.first", "loop.last", "loop.length", "loop.revindex", "loop.revindex0", "loop.depth", "loop.depth0", "loop.previtem",
                   "loop.nextitem", "loop.cycle('a', 'b')", "loop.changed(loop.index // 2)", "loop", "loop.nope"] if self.loops or self.chance(0.05) else []
        options += ["namespace(a=1).a", "dict(a=1, b=2)", "dict([('a', 1)])", "dict(d, z=1)", "range(3)|list", "cycler('a', 'b').next()", "joiner('|')()", "varargs", "kwargs", "caller()",
                    "strftime_now('%Y-%m-%d %H:%M')", "strftime_now('%d %b %Y %A %j %f %z%Z')", "dict.fromkeys([1, 2])", "ns.v", "ns"]
        options += [f"{m}({self.arguments(self.pick([[], ['any'], ['any', 'any'], ['a=any'], ['a=any', 'zz=any'], ['any', 'any', 'any']]), depth)})" for m in self.macros * 3]
        options += [f"{m}.{self.pick(['name', 'arguments', 'catch_kwargs', 'catch_varargs', 'caller'])}" for m in self.macros]
        return self.pick(options)

    def expr(self, depth):
        if depth <= 0:
            return self.kind(self.pick(["str", "num", "list", "dict", "const", "var", "var", "any"]), 0) if self.chance(0.97) else self.special(0)
        e = lambda: self.expr(depth - 1)  # noqa: E731
        which = self.r.randrange(24)
        if which < 5:
            return self.filtered(depth)
        if which < 8:
            return self.method(depth)
        if which < 10:
            return self.tested(depth)
        if which < 12:
            return self.subscript(depth)
        if which == 12:
            kind = self.pick(["num", "num", "str", "list"]) if self.chance(0.9) else "any"
            return f"({self.operand(kind, depth)} {self.pick(['+', '-', '*', '/', '//', '%'] if kind in ('num', 'any') else ['+'])} {self.operand(kind, depth)})"
        if which == 13:
            if self.chance(0.2):  # small exponents: Python computes all digits of large powers
                return f"{self.pick(['2', '-3', '0', '1.5', '10', 'n', 'pi', 'neg'])} ** {self.pick(['0', '1', '2', '3', '-1', '0.5', '10', '-2'])}"
            return f"{self.kind('num', 0)} {self.pick(['+', '-', '*', '/', '//', '%'])} {self.pick([self.small(), self.kind('num', 0)])}"
        if which == 14:
            return f"{self.kind('fmt', 0)} % {self.pick([e(), '(' + e() + ',)', '(' + e() + ', ' + e() + ')', 'd'])}"
        if which == 15:
            op, kind = self.pick(["==", "!=", "<", "<=", ">", ">=", "in", "not in"]), self.pick(["num", "str", "list"])
            left, right = ("any", "list") if "in" in op else (kind, kind) if self.chance(0.8) else ("any", "any")
            return f"{self.operand(left, depth)} {op} {self.operand(right, depth)}" + (f" {self.pick(['==', '<', '>=', 'in'])} {e()}" if self.chance(0.1) else "")
        if which == 16:
            return f"{e()} {self.pick(['and', 'or'])} {e()}"
        if which == 17:
            return self.pick(["not ", "not not "]) + e() if self.chance(0.5) else self.pick("-+") + self.operand("num", depth)
        if which == 18:
            return f"{e()} ~ {e()}" + (f" ~ {e()}" if self.chance(0.3) else "")
        if which == 19:
            return f"({e()} if {e()}" + (f" else {e()})" if self.chance(0.7) else ")")
        if which == 20:
            return self.special(depth)
        if which == 21:
            return self.filtered(depth, self.filtered(depth))
        if which == 22:
            return f"{self.kind(self.pick(['str', 'list']), depth)} * {self.small()}"
        return self.kind("any", depth)

    # --- statements ---

    def space(self):
        return self.pick(SPACES)

    def tag(self, body):
        start = "{%" + self.pick(["", "", "-", "+"] if self.chance(0.4) else [""])
        end = self.pick(["", "", "-", "+"] if self.chance(0.4) else [""]) + "%}"
        return start + self.pick([" ", " ", "", "\n"]) + body + " " + end

    def target(self):
        name = self.pick(list(NAMES))
        self.names.append(name)
        return name

    def body(self, depth):
        return "".join(self.statement(depth) for _ in range(self.r.choice([1, 1, 2, 3])))

    def statement(self, depth):
        self.budget -= 1
        before, after = self.space(), self.space()
        which = self.r.randrange(24) if depth > 0 and self.budget > 0 else self.r.randrange(8)
        if which < 5:
            sign = self.pick(["", "", "-"]) if self.chance(0.3) else ""
            return f"{before}{{{{{sign} {self.expr(self.pick([1, 2, 2, 3]))} {self.pick(['', sign])}}}}}{after}"
        if which == 5:
            return before + self.pick(WORDS) + after
        if which == 6:
            return before + self.pick(["{# c #}", "{#- c -#}", "{#\n x #}", "{#+ c +#}", "{# {{ x }} #}", "{% raw %} {{ x }} {% endraw %}", "{%- raw -%} {% y %} {%- endraw -%}", "{% raw %}\n a{% endraw %}\n"]) + after
        if which == 7:
            return before + self.tag(f"set {self.target()} = {self.expr(2)}") + after
        return before + self.compound(which, depth - 1) + after

    def compound(self, which, depth):
        if which < 11:
            out = self.tag(f"if {self.expr(2)}") + self.body(depth)
            if self.chance(0.3):
                out += self.tag(f"elif {self.expr(1)}") + self.body(depth)
            return out + (self.tag("else") + self.body(depth) if self.chance(0.4) else "") + self.tag("endif")
        if which < 15:
            return self.loop(depth)
        if which == 15:
            name = self.target()
            return self.tag(f"set {name}{self.pick(['', '', '|upper', '|trim|length', '|indent(2)'])}") + self.body(depth) + self.tag("endset") + "{{ " + name + " }}"
        if which == 16:
            name = "m" + self.pick(list(NAMES))
            parameters = self.pick(["", "a", "a, b=2", "a='x', b=a", "a, b=none", "caller", "a=nope"])
            held, self.names = self.names, self.names + ["a", "b"]
            out = self.tag(f"macro {name}({parameters})") + self.body(depth) + self.pick(["", "", "{{ varargs }}", "{{ kwargs }}", "{{ caller() }}", "{{ caller('u') }}", "{{ a }}"]) + self.tag("endmacro")
            self.names = held
            self.macros.append(name)
            return out + self.pick(["", "{{ " + name + "(" + self.expr(1) + ") }}"])
        if which == 17 and self.macros:
            parameters, name = self.pick(["", "", "(u)", "(u, v=1)"]), self.pick(self.macros)
            return self.tag(f"call{parameters} {name}({self.arguments(self.pick([[], ['any'], ['a=any']]), 1)})") + self.body(depth) + self.pick(["", "{{ u }}"]) + self.tag("endcall")
        if which == 18:
            name = self.pick(list(FILTERS))
            pattern = self.pick(FILTERS[name][1])
            call = f"({self.arguments(pattern, 1)})" if pattern else ""
            return self.tag(f"filter {name}{call}{self.pick(['', '', '|upper'])}") + self.body(depth) + self.tag("endfilter")
        if which == 19:
            name = self.target()
            return self.tag(f"with {name} = {self.expr(1)}{self.pick(['', ', y = ' + self.expr(1)])}") + self.body(depth) + "{{ " + name + " }}" + self.tag("endwith")
        if which == 20:
            return self.tag("set ns = namespace(v=" + self.expr(1) + ")") + self.tag(f"for i in {self.kind('list', 1)}") + self.tag("set ns.v = " + self.pick(["i", "ns.v ~ i", self.expr(1)])) + self.body(depth) + self.tag("endfor") + "{{ ns.v }}"
        if which == 21:
            return self.tag("generation") + self.body(depth) + self.tag("endgeneration")
        if which == 22:
            return self.pick([self.tag(f"set a, b = {self.expr(1)}, {self.expr(1)}"), self.tag(f"set x = {self.expr(1)}, {self.expr(1)}"), self.tag("block foo") + self.body(depth) + self.tag("endblock"),
                              self.tag(f"print {self.expr(1)}"), self.pick([self.tag("include 'x'"), self.tag("from 'x' import y"), self.tag("extends 'x'"), self.tag("nosuchtag"), "{{ 1|nofilter }}", "{{ 1 is nosuch }}", "{{ raise_exception('x') }}",
                                         "{% if false %}{{ 1|nofilter }}{% endif %}", "{% for x in [] %}{{ 1|nofilter }}{% endfor %}"]),
                              self.tag("if false") + self.tag("include 'x'") + self.tag("endif"), self.tag("autoescape false") + self.body(depth) + self.tag("endautoescape")])
        return self.tag(self.pick(["break", "continue"])) if self.loops else self.body(depth)

    def loop(self, depth):
        recursive = self.chance(0.12)
        target, over = (self.pick([("k, v", "d.items()"), ("k, v", "d|dictsort"), ("(a, b), c", "[((1, 2), 3)]"), ("k, v", "users[0]|items"), ("a, b", "nested")]) if self.chance(0.25)
                        else (self.target(), self.kind("list", 1) if self.chance(0.8) else self.filtered(1)))
        held = list(self.names)
        self.names += re.findall(r"\w", target) * 2
        test = f" if {self.pick([self.expr(1), target.split(',')[0].strip('()')])}" if self.chance(0.25) else ""
        if recursive:
            target, over = "item", "tree"
        out = self.tag(f"for {target} in {over}{test}{' recursive' if recursive else ''}")
        self.loops += 1
        out += self.body(depth) + (self.tag(f"if {self.expr(1)}") + self.tag(self.pick(["break", "continue"])) + self.tag("endif") if self.chance(0.15) else "")
        out += "{{ item.n }}{{ loop(item.c) }}" if recursive else self.pick(["", "{{ loop.index }}", "{{ " + re.findall(r"\w+", target)[0] + " }}"])
        self.loops -= 1
        self.names = held
        return out + (self.tag("else") + self.body(depth) if self.chance(0.2) else "") + self.tag("endfor")

    def template(self):
        out = "".join(self.statement(2) for _ in range(self.r.choice([1, 1, 1, 2, 3, 5])))
        if self.chance(0.04):  # a broken one
            tokens = re.findall(r"\{[%{#][-+]?|[-+]?[%}#]\}|\w+|\s+|.", out, re.S)
            if tokens:
                at = self.r.randrange(len(tokens))
                how = self.r.randrange(3)
                tokens[at:at + 1] = [] if how == 0 else [tokens[at]] * 2 if how == 1 else [self.pick(tokens)]
            out = "".join(tokens)
        return out
