#!/usr/bin/env python3
"""Lists what the code itself says is unfinished: markers in comments, and paths that are not there yet.

    debt.py                                   every marker, and sums by folder
    debt.py --check                           what CI runs: form of the markers, and the ratchet of tools/debt.json
    debt.py --issues [--priority high]        issue texts on stdout; --write puts them in build/debt/ instead

A marker in a comment reads TAG(name): text [#issue]. Text in string literals, fenced blocks and `code` of .md files are examples
and not counted. An unimplemented path is code that gives up: an abort, an assert on false, a throw or comment that says so.
Works offline.
"""

import argparse
import json
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import source

FOLDERS = ["src", "include", "tests", "tools", "bench", "models", "cmake", "docs", ".ci", ".github"]  # and the files beside them
SEVERITIES = ["critical", "high", "medium", "low"]
UNIMPLEMENTED = "unimplemented"
TAGS = {"TODO": "low", "FIXME": "high", "BUG": "high", "HACK": "medium", "XXX": "medium"}

TAG = re.compile(r"\b(?:TODO|FIXME|BUG|HACK|XXX)\b|\b(?i:todo|fixme|hack|xxx)\b(?=\s*[:(])")
GOOD = re.compile(r"[A-Z]+\((?P<owner>[A-Za-z][\w.-]*)\): (?P<text>\S.*?) \[#(?P<issue>[1-9]\d*)\]", re.DOTALL)
OWNER = re.compile(r"\w+\s*\(\s*@?([A-Za-z][\w.-]*)\s*\)")
ISSUE = re.compile(r"\[?#(\d+)\b")

GIVES_UP_CODE = re.compile(r"\bstd::(?:abort|terminate)\b|(?<![\w.>:])(?:::)?(?:abort|terminate)\s*\(|\b__builtin_trap\s*\(|"
                           r"\bassert\s*\(\s*(?:false|0|!\s*\")|\bassert\s+(?:False|0)\b|\bNotImplementedError\b")
GIVES_UP_TEXT = re.compile(r"\bnot\s+(?:yet\s+)?implemented\b|\bunimplemented\b|\bnot\s+yet\b|\bnot\s+supported\s+yet\b|"
                           r"\bcannot(?:[^\"\n]|\"\s*\")*?\byet\b", re.IGNORECASE)
GIVES_UP_COMMENT = re.compile(r"\bnot\s+(?:yet\s+)?implemented\b|\bunimplemented\b", re.IGNORECASE)
THROWS = re.compile(r"\b(?:throw|raise|(?:fail|require|exit|\w*[Ee]rror)\s*(?=\())[^;]*\Z")

# The parts of .github/ISSUE_TEMPLATE/technical_debt.md.
SECTIONS = ["Location", "Current state", "Expected behaviour", "Solution", "Priority", "Links", "Acceptance criteria", "Notes"]


@dataclass(order=True)
class Marker:
    path: str
    line: int
    kind: str  # one of TAGS, or that of a missing path
    severity: str
    owner: str
    issue: str
    text: str
    problem: str  # what is wrong with its form, or ""


def line_of(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def comment_from(comments: str, at: int) -> str:
    """The comment's words from `at` to its end: the rest of the line and the comment lines that follow directly."""
    lines = comments[at:].split("\n")
    words = [lines[0]]
    for line in lines[1:]:
        body = line.strip().strip("/*#!<> ")
        if not body or TAG.search(body):
            break
        words.append(body)
    text = " ".join(w.strip() for w in words)
    following = TAG.search(text, len(TAG.match(text)[0]))
    return text[:following.start() if following else None].rstrip(" */->")


def tag_markers(path: str, comments: str) -> list[Marker]:
    found = []
    for m in TAG.finditer(comments):
        text, tag = comment_from(comments, m.start()), m[0].upper()
        good = GOOD.match(text)
        owner, issue = OWNER.match(text), ISSUE.search(text)
        problem = "" if good else f"write it as {tag}(name): text [#issue]"
        found.append(Marker(path, line_of(comments, m.start()), tag, TAGS[tag], owner[1] if owner else "",
                            good["issue"] if good else issue[1] if issue else "",
                            good["text"] if good else re.sub(r"^\w+(\s*\([^)]*\))?\s*:?\s*", "", text), problem))
    return found


def is_test(path: str) -> bool:
    name = PurePosixPath(path)
    return name.parts[0] in ("tests", "bench") or name.stem.endswith("_test")


def same_statement(python: str) -> bool:
    """Whether the end of this code still belongs to the statement that it starts with."""
    depth = 0
    for c in python:
        depth += (c in "([{") - (c in ")]}")
        if c == "\n" and depth <= 0:
            return False
    return True


def gives_up(path: str, text: str, parts: source.Parts) -> list[Marker]:
    """Paths of the product that are not there. Tests may abort: that is how they fail."""
    if is_test(path) or source.kind(path) not in ("cpp", "python"):
        return []
    hits = [m.start() for m in GIVES_UP_COMMENT.finditer(parts.comments)]
    for m in GIVES_UP_TEXT.finditer(parts.strings):
        thrown = THROWS.search(parts.code[max(0, m.start() - 400):m.start()])
        if thrown and (source.kind(path) == "cpp" or same_statement(thrown[0])):
            hits.append(m.start())
    with_quotes = "".join('"' if s == '"' else c for c, s in zip(parts.code, parts.strings))
    for m in GIVES_UP_CODE.finditer(with_quotes):
        before = re.search(r"(\w+)[ \t]+\Z", with_quotes[max(0, m.start() - 80):m.start()])
        if "(" in m[0] and before and before[1] not in ("return", "else", "do", "and", "or", "not"):
            continue  # a declaration: void abort()
        hits.append(m.start())
    lines = text.split("\n")
    return [Marker(path, n, UNIMPLEMENTED, "critical", "", "", lines[n - 1].strip(), "")
            for n in sorted({line_of(text, at) for at in hits})]


def scan(root: Path) -> list[Marker]:
    markers = []
    beside = sorted(p.name for p in root.iterdir() if p.is_file() and source.kind(p.name))
    for path in source.files(root, FOLDERS + beside):
        if not source.kind(path):
            continue
        text = (root / path).read_text(encoding="utf-8", errors="replace")
        try:
            parts = source.split(path, text)
        except (SyntaxError, source.tokenize.TokenError) as e:
            sys.exit(f"error: {path}: {e}")
        markers += tag_markers(path, parts.comments) + gives_up(path, text, parts)
    return sorted(markers)


def folder_of(path: str) -> str:
    parts = PurePosixPath(path).parts
    if len(parts) == 1:
        return "."
    return "/".join(parts[:2]) if parts[0] in ("src", "tests", "models") and len(parts) > 2 else parts[0]


def sums(markers: list[Marker]) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """(folder -> severity -> count, severity -> count)."""
    folders: dict[str, dict[str, int]] = {}
    for m in markers:
        row = folders.setdefault(folder_of(m.path), dict.fromkeys(SEVERITIES, 0))
        row[m.severity] += 1
    totals = {s: sum(m.severity == s for m in markers) for s in SEVERITIES}
    assert all(totals[s] == sum(row[s] for row in folders.values()) for s in SEVERITIES)
    assert sum(totals.values()) == len(markers)
    return folders, totals


def print_list(markers: list[Marker]) -> None:
    for m in markers:
        print(f"{m.path}:{m.line}: {m.severity} {m.kind} owner={m.owner or '-'} issue={'#' + m.issue if m.issue else '-'} {m.text}")
    folders, totals = sums(markers)
    width = max([len(f) for f in folders] + [6])
    print(f"{'folder':{width}} " + " ".join(f"{s:>8}" for s in SEVERITIES) + "    total")
    for name, row in [*sorted(folders.items()), ("total", totals)]:
        print(f"{name:{width}} " + " ".join(f"{row[s]:8}" for s in SEVERITIES) + f" {sum(row.values()):8}")


def issue_text(m: Marker) -> str:
    unfinished = m.kind == UNIMPLEMENTED
    words = {
        "Location": f"`{m.path}:{m.line}`",
        "Current state": f"`{m.text}`" if unfinished else f"{m.kind} in the code: {m.text or '(no text)'}",
        "Expected behaviour": "The path works, or its input is refused with an error that names the value and the remedy." if unfinished
                              else "The code does what the marker asks for, and the marker is gone.",
        "Solution": "To be decided.",
        "Priority": m.severity,
        "Links": f"#{m.issue}" if m.issue else "None.",
        "Acceptance criteria": "- [ ] `tools/debt.py` no longer lists this place\n"
                               f"- [ ] a test covers the {'path' if unfinished else 'change'}\n"
                               "- [ ] the documentation that mentions it is up to date",
        "Notes": f"Owner: {m.owner or 'none'}." + (f" Form: {m.problem}." if m.problem else ""),
    }
    title = f"[{m.severity}] {PurePosixPath(m.path).name}: {m.text or m.kind}"
    return f"# {title[:100]}\n\n" + "\n".join(f"## {s}\n\n{words[s]}\n" for s in SECTIONS)


def issues(markers: list[Marker], root: Path, write: bool) -> None:
    if not write:
        print("\n---\n\n".join(issue_text(m) for m in markers), end="")
        return
    out = root / "build" / "debt"
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("[0-9]*.md"):
        old.unlink()
    for n, m in enumerate(markers, 1):
        slug = re.sub(r"[^a-z0-9]+", "-", f"{m.kind}-{m.path}-{m.line}".lower()).strip("-")
        (out / f"{n:03}-{slug}.md").write_text(issue_text(m))
    print(f"{len(markers)} issue texts in {out}")


def check(markers: list[Marker], allowed: int) -> int:
    faults = [f"{m.path}:{m.line}: {m.problem}" for m in markers if m.problem]
    paths = [m for m in markers if m.kind == UNIMPLEMENTED]
    if len(paths) > allowed:
        faults += [f"{m.path}:{m.line}: unimplemented path: {m.text}" for m in paths]
    for fault in faults:
        print(fault)
    print(f"debt: {len(markers)} markers, {sum(bool(m.problem) for m in markers)} of them malformed; "
          f"{len(paths)} unimplemented paths, {allowed} allowed")
    if len(paths) < allowed:
        print(f"debt: lower unimplemented_paths in tools/debt.json to {len(paths)}, so that it stays there")
    return 1 if faults else 0


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent, help="the checkout (default: this one)")
    mode = p.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="exit 1 for a malformed marker or a new unimplemented path")
    mode.add_argument("--issues", action="store_true", help="an issue text for each marker")
    mode.add_argument("--json", action="store_true")
    p.add_argument("--priority", choices=SEVERITIES, help="only markers of this severity")
    how = p.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="with --issues: print only (the default)")
    how.add_argument("--write", action="store_true", help="with --issues: one file for each under build/debt/")
    args = p.parse_args()
    if (args.dry_run or args.write) and not args.issues:
        p.error("--dry-run and --write go with --issues")
    if args.check and args.priority:
        p.error("--check looks at every marker; leave --priority out")
    markers = scan(args.root)
    figure = args.root / "tools" / "debt.json"
    allowed = json.loads(figure.read_text())["unimplemented_paths"] if figure.is_file() else 0
    if args.check:
        return check(markers, allowed)
    if args.priority:
        markers = [m for m in markers if m.severity == args.priority]
    if args.json:
        folders, totals = sums(markers)
        paths = sum(m.kind == UNIMPLEMENTED for m in markers)
        print(json.dumps({"markers": [asdict(m) for m in markers], "folders": folders, "totals": totals,
                          "unimplemented_paths": paths, "allowed_unimplemented_paths": allowed}, indent=2))
    elif not markers:
        print(f"debt: no markers{' of priority ' + args.priority if args.priority else ''}", file=sys.stderr)
    elif args.issues:
        issues(markers, args.root, args.write)
    else:
        print_list(markers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
