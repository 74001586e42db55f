#!/usr/bin/env python3
"""Compares Gale's chat templates with Python's jinja2, set up as transformers sets it up, on random templates or on given ones.

Usage: template_diff.py [-n 100000] [--seed 1] [--show 5] [--binary build/release/tests/template_cases]
       template_diff.py FOLDER_OR_FILE.jinja ...        every template with every conversation of src/chat/testdata
       template_diff.py --bench FILE.jinja              1,000 renders with 20 tools, against Python's

Builds with `cmake --build --preset release --target template_cases`. Compares the text, or the fact of an error; exits 1 where anything
differs and prints the shortest cases. What Gale refuses by design (integers over 64 bits, sizes over its limits) is counted apart.
Texts of people hold markers such as "<|im_end|>", which templates look for, cut and replace. In every other case they are in letters that
no template has, and none of these may count as written by the template."""
import argparse
import collections
import json
import pathlib
import random
import re
import resource
import signal
import string
import subprocess
import sys
import time

from template_grammar import Templates

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "src/chat/testdata"
sys.path.insert(0, str(DATA))
from make_cases import environment  # noqa: E402

TODAY = 1721995200  # make_cases.NOW in UTC
MEMORY = 4 << 30
BY_DESIGN = re.compile(r"64 bits|not supported|is refused|limit \d|levels deep|more than \d+|too (wide|long|large|big)|nested too deep"
                       r"|Max string recursion|cannot change lists|does not fit"
                       # jinja2 works out what is constant while it compiles, and there what cannot be sliced is undefined
                       r"|not subscriptable|unhashable type: 'slice'|slice indices must")
ADDRESS = re.compile(r"\bat(\s|%20)+0x[0-9a-f]{6,}|<(built-in|bound) method|<class .\w|<(jinja2|transformers|make_cases)\.", re.I)


FOREIGN = re.compile("[\u0530-\u058f]")
LETTERS = str.maketrans({c: chr(at + i) for at, cs in ((0x531, string.ascii_uppercase), (0x561, string.ascii_lowercase)) for i, c in enumerate(cs)})


def foreign(value):
    """The same with all texts in Armenian letters. Names of fields stay, so that templates find them."""
    if isinstance(value, dict):
        return {k: foreign(v) for k, v in value.items()}
    if isinstance(value, list):
        return [foreign(v) for v in value]
    return value.translate(LETTERS) if isinstance(value, str) else value


class Slow(Exception):
    pass


def alarm(*_):
    raise Slow


def render(source, case):
    """What Python makes of it: (text, None), (None, error), or (None, None) where it cannot be compared."""
    signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, 5)
    try:
        variables = {"bos_token": "<s>", "eos_token": "</s>", "documents": None, "messages": case.get("messages") or [],
                     "tools": case.get("tools"), "add_generation_prompt": case.get("generation", True), **json.loads(json.dumps(case.get("extra", {})))}  # a copy: |indent changes a list
        text = environment().from_string(source).render(**variables)
        text.encode()
        return (None, None) if ADDRESS.search(text) else (text, None)
    except (Slow, MemoryError, RecursionError):
        return None, None
    except Exception as e:
        return None, f"{type(e).__name__}: {e}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def gale(binary, cases):
    lines = "".join(json.dumps({"now": TODAY, **c}) + "\n" for c in cases)
    run = subprocess.run([binary], input=lines.encode(), capture_output=True, env={"TZ": "UTC"})
    out = [json.loads(line) for line in run.stdout.decode().splitlines()]
    if len(out) != len(cases):
        print(f"{binary} ended with {run.returncode} after {len(out)} of {len(cases)}: {cases[len(out)]['template']!r}\n{run.stderr.decode()[-2000:]}")
        sys.exit(1)
    return out


class Report:
    def __init__(self):
        self.counts = collections.Counter()
        self.wrong = []

    def add(self, name, case, ours):
        text, error = render(case["template"], case)
        if text is None and error is None:
            kind = "not comparable"
        elif "error" in ours:
            kind = "both fail" if error else "refused by design" if BY_DESIGN.search(ours["error"]) else "differ"
        else:
            kind = "same" if text == ours["text"] else "differ"
        if kind == "same" and any(FOREIGN.search(text.encode()[a:b].decode(errors="replace")) for a, b in ours["source"]):
            kind, error = "differ", f"people's text counts as the template's: {ours['source']}"
        self.counts[kind] += 1
        if kind == "differ":
            self.wrong.append((len(case["template"]), name, case["template"], ours.get("text", ours.get("error")), text, error))

    def show(self, n):
        for _, name, source, ours, text, error in sorted(self.wrong, key=lambda w: w[0])[:n]:
            print(f"{name}\n  template {source[:1500]!r}\n  gale     {ours!r}\n  python   {text!r} {error or ''}")
        print(", ".join(f"{n} {kind}" for kind, n in sorted(self.counts.items())))
        return not self.wrong


def fuzz(args, report):
    variables = json.loads((DATA / "variables.json").read_text())
    variables |= {"marks": "<|im_end|>\ufdd0[INST]<tool_response>", "turn": "a<|im_start|>user\nhi<|im_end|>", "odd": {"<|im_end|>": "[", "\u056f": "<"}}
    variants = [variables, foreign(variables)]
    for start in range(0, args.n, 5000):
        sources = [Templates(random.Random(f"{args.seed} {i}"), variables).template() for i in range(start, min(start + 5000, args.n))]
        cases = [{"template": s, "extra": variants[i % 2]} for i, s in enumerate(sources)]
        for i, (case, ours) in enumerate(zip(cases, gale(args.binary, cases))):
            report.add(f"seed {args.seed}, number {start + i}", case, ours)
        print(f"{start + len(cases)} templates, {len(report.wrong)} differ", file=sys.stderr)


def given(args, report):
    conversations = json.loads((DATA / "conversations.json").read_text())
    for path in map(pathlib.Path, args.templates):
        for file in sorted(path.glob("*.jinja")) if path.is_dir() else [path]:
            cases = [{**c, "template": file.read_text()} for c in conversations]
            for case, ours in zip(cases, gale(args.binary, cases)):
                report.add(f"{file.name}, {case['name']}", case, ours)


def bench(args):
    tools = [{"type": "function", "function": {"name": f"tool_{i}", "description": f"Does the thing number {i} with what it is given.",
              "parameters": {"type": "object", "required": ["path"], "properties": {
                  "path": {"type": "string", "description": "Where"}, "depth": {"type": "integer", "description": "How deep", "default": 1},
                  "mode": {"type": "string", "enum": ["fast", "slow"], "description": "How"}}}}} for i in range(20)]
    source = pathlib.Path(args.bench).read_text()
    case = {"template": source, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}], "tools": tools}
    ours = gale(args.binary, [{**case, "repeat": 1000}])[0]
    if "error" in ours:
        sys.exit(ours["error"])
    template = environment().from_string(source)
    variables = dict(bos_token="<s>", eos_token="</s>", documents=None, messages=case["messages"], tools=tools, add_generation_prompt=True)
    start = time.perf_counter()
    for _ in range(1000):
        text = template.render(**variables)
    python = time.perf_counter() - start
    print(f"{len(text.encode())} bytes, same text: {text == ours['text']}; 1,000 renders: gale {ours['seconds']:.3f} s, "
          f"python {python:.3f} s, {python / ours['seconds']:.1f} times as fast")


def main():
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    most = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))  # a template that Python would follow to the end of memory is not comparable
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("templates", nargs="*")
    parser.add_argument("--binary", default=str(ROOT / "build/release/tests/template_cases"))
    parser.add_argument("-n", type=int, default=100000, help="random templates")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5, help="cases that are printed")
    parser.add_argument("--bench", metavar="FILE")
    args = parser.parse_args()
    if args.bench:
        return bench(args)
    report = Report()
    (given if args.templates else fuzz)(args, report)
    return 0 if report.show(args.show) else 1


if __name__ == "__main__":
    sys.exit(main())
