#!/usr/bin/env python3
"""Writes cases.json, templates.json and expected.json: what Python's jinja2, set up as transformers sets it up, makes of templates.

    pip install jinja2
    make_cases.py [folder of *.jinja]

cases.json holds the snippets of snippets.txt with the text they give, or null where they fail. templates.json holds what the templates
of templates/, which are ours, make of each conversation of conversations.json, or null for an error. expected.json holds the same of a
folder of templates: each text where the template's licence lets it be passed on (OPEN), else its digest().
The folder's templates belong to their authors and are not kept here.
"""
import datetime
import functools
import json
import pathlib
import sys

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).parent
# Apache 2.0 and MIT.
OPEN = ("Qwen-Qwen2.5-7B", "deepseek-ai-DeepSeek-R1-Distill-Qwen", "llama-cpp-deepseek", "meetkai-functionary", "microsoft-Phi-3.5",
        "mistralai-Mistral-Nemo")
NOW = datetime.datetime(2024, 7, 26, 12, 0, 0)  # 1721995200 in UTC


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_pass"), [], [], body).set_lineno(line)

    def _pass(self, caller):
        return caller()


class TemplateNamespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attrs = dict(*args, **kwargs)
        for name in attrs:
            TemplateNamespace.check(name)
        jinja2.utils.Namespace.__init__(self, attrs)

    def __setitem__(self, name, value):
        TemplateNamespace.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(name):
        if name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


class TemplateDict:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)

    def fromkeys(self, *args, **kwargs):
        return dict.fromkeys(*args, **kwargs)


@functools.cache
def environment():
    """The environment of transformers.utils.chat_template_utils, with a clock that stands still."""

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals.update(raise_exception=raise_exception, strftime_now=lambda format: NOW.strftime(format), namespace=TemplateNamespace, dict=TemplateDict())
    return env


def render(source, **variables):
    try:
        text = environment().from_string(source).render(bos_token="<s>", eos_token="</s>", documents=None, **variables)
        text.encode()  # half a surrogate pair is no text
        return text
    except Exception:  # whatever it is, the template fails
        return None


def digest(text):
    """FNV-1a of the UTF-8 bytes, 64 bits, in hex."""
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return f"{h:016x}"


def main():
    snippets = [s for s in (HERE / "snippets.txt").read_text().split("\n----\n") if s]
    variables = json.loads((HERE / "variables.json").read_text())
    cases = [[s, render(s, messages=[], tools=None, add_generation_prompt=True, **variables)] for s in snippets]
    (HERE / "cases.json").write_text("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n")
    print(f"{len(cases)} cases, {sum(c[1] is None for c in cases)} of them errors")
    conversations = json.loads((HERE / "conversations.json").read_text())
    write("templates.json", HERE / "templates", conversations, lambda name: lambda text: text)
    if len(sys.argv) > 1:
        write("expected.json", pathlib.Path(sys.argv[1]), conversations, lambda name: (lambda text: text) if name.startswith(OPEN) else digest)


def write(name, folder, conversations, keeping):
    """What each template of the folder makes of each conversation, or null for an error."""
    lines = []
    for path in sorted(folder.glob("*.jinja")):
        source, keep = path.read_text(), keeping(path.name)
        row = {}
        for c in conversations:
            text = render(source, messages=c["messages"], tools=c.get("tools"), add_generation_prompt=c["generation"], **c.get("extra", {}))
            row[c["name"]] = None if text is None else keep(text)
        lines.append(json.dumps(path.name) + ": " + json.dumps(row, ensure_ascii=False, indent=1 if keep("x") == "x" else None))
        print(path.name, {k: "error" if v is None else "ok" for k, v in row.items()})
    (HERE / name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
