"""What the checks in this folder read: the tree's source files, with comments, strings and code told apart."""

import io
import os
import re
import subprocess
import tokenize
from dataclasses import dataclass
from pathlib import Path

CPP = {".h", ".hpp", ".inc", ".c", ".cc", ".cpp", ".cu", ".cuh"}
HASH = {".cmake", ".sh", ".toml", ".yaml", ".yml"}


def files(root: Path, folders: list[str]) -> list[str]:
    """Files under `folders` that git tracks or would track, sorted; outside a git checkout everything but build/ and dot folders."""
    git = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders],
                         capture_output=True, check=False) if (root / ".git").exists() else None
    if git and git.returncode == 0:
        names = {n for n in git.stdout.decode().split("\0") if n and (root / n).is_file()}
        return sorted(names)
    found = []
    for folder in folders:
        if (root / folder).is_file():
            found.append(folder)
        for path, dirs, names in os.walk(root / folder):
            dirs[:] = [d for d in dirs if d != "build" and d != "__pycache__" and not d.startswith(".")]
            found += [(Path(path) / n).relative_to(root).as_posix() for n in names]
    return sorted(found)


def kind(path: str) -> str:
    """"cpp", "python", "hash" (comments start with #), "md", or "" for what is not source."""
    suffix = Path(path).suffix
    if suffix in CPP:
        return "cpp"
    if suffix == ".py":
        return "python"
    if suffix == ".md":
        return "md"
    return "hash" if suffix in HASH or Path(path).name in ("CMakeLists.txt", "Makefile") or path == ".ci/run" else ""


@dataclass
class Parts:
    """Three copies of a text, each with everything that is not its own blanked out, so that lines and columns stay."""
    code: str
    comments: str
    strings: str


def split(path: str, text: str) -> Parts:
    return {"cpp": split_cpp, "python": split_python, "hash": split_hash, "md": split_md}[kind(path)](text)


def parts(text: str, spans: list[tuple[int, int, str]]) -> Parts:
    """`spans`: (start, end, "comment" or "string"), in order; the rest is code."""
    blank = re.sub(r"[^\n]", " ", text)
    out = {"code": [], "comment": [], "string": []}
    at = 0
    for start, end, what in [*spans, (len(text), len(text), "string")]:
        for name, pieces in out.items():
            pieces.append((text if name == "code" else blank)[at:start])
            pieces.append((text if name == what else blank)[start:end])
        at = end
    return Parts("".join(out["code"]), "".join(out["comment"]), "".join(out["string"]))


CPP_TOKEN = re.compile(
    r"""(?P<comment>//(?:[^\n\\]|\\.|\\\n)*|/\*.*?(?:\*/|\Z))
      | (?P<raw>(?:u8|[uUL])?R"(?P<delimiter>[^()\\\s]{0,16})\(.*?(?:\)(?P=delimiter)"|\Z))
      | (?P<include>(?<=include)[ \t]*"[^"\n]*")
      | (?P<string>"(?:[^"\\\n]|\\.|\\\n)*")
      | (?P<char>(?<![0-9a-zA-Z_])(?:u8|[uUL])?'(?:[^'\\\n]|\\.)+')
      | (?P<word>[0-9a-zA-Z_']+)""",
    re.DOTALL | re.VERBOSE)


def split_cpp(text: str) -> Parts:
    """C and C++. The name after #include counts as code; ' inside a number is a digit separator."""
    spans = []
    for m in CPP_TOKEN.finditer(text):
        if m["comment"]:
            spans.append((m.start(), m.end(), "comment"))
        elif m["raw"] or m["string"] or m["char"]:
            spans.append((m.start(), m.end(), "string"))
    return parts(text, spans)


def split_python(text: str) -> Parts:
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    spans, fstring, depth = [], 0, 0
    opens, closes = getattr(tokenize, "FSTRING_START", None), getattr(tokenize, "FSTRING_END", None)
    for t in tokenize.generate_tokens(io.StringIO(text).readline):
        start, end = starts[t.start[0] - 1] + t.start[1], starts[t.end[0] - 1] + t.end[1]
        if opens and t.type == opens:
            fstring, depth = (fstring if depth else start), depth + 1
        elif closes and t.type == closes:
            depth -= 1
            if not depth:
                spans.append((fstring, end, "string"))
        elif depth:
            continue
        elif t.type == tokenize.COMMENT:
            spans.append((start, end, "comment"))
        elif t.type == tokenize.STRING:
            spans.append((start, end, "string"))
    return parts(text, spans)


HASH_TOKEN = re.compile(r"""(?P<comment>\#\[\[.*?\]\]|(?<![^\s()])\#[^\n]*)|(?P<string>"(?:[^"\\]|\\.)*")""", re.DOTALL)


def split_hash(text: str) -> Parts:
    """CMake, shell, YAML, TOML, make: near enough, without their finer rules of quoting."""
    return parts(text, [(m.start(), m.end(), m.lastgroup) for m in HASH_TOKEN.finditer(text)])


def split_md(text: str) -> Parts:
    """Prose is all comment; fenced blocks and `code` are examples, that is strings."""
    example = re.compile(r"^[ ]*(?P<fence>```+|~~~+)[^\n]*\n.*?(?:^[ ]*(?P=fence)[ ]*$|\Z)|(?P<tick>`+)[^`]+?(?P=tick)",
                         re.DOTALL | re.MULTILINE)
    spans, at = [], 0
    for m in example.finditer(text):
        spans += [(at, m.start(), "comment"), (m.start(), m.end(), "string")]
        at = m.end()
    return parts(text, [*spans, (at, len(text), "comment")])
