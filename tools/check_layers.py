#!/usr/bin/env python3
"""Checks the shape of the tree: who may include whom, how many preprocessor conditionals, how long a file may be.

A room (a folder of src/) includes only rooms with lower numbers. Prints file:line of each violation and exits 1 if there is one.
"""

import argparse
import math
import re
import sys
from pathlib import Path, PurePosixPath

import source

LAYERS = {
    0: ["base"],
    1: ["tensor", "batch", "net"],
    2: ["kernels", "checkpoint", "hub", "tokenizer", "mcp"],
    3: ["quant", "kvcache", "grammar"],
    4: ["chat", "adapters", "sampling"],
    5: ["nn"],
    6: ["multimodal"],
    7: ["models"],
    8: ["diffusion", "speech", "scheduler", "speculation"],
    9: ["engine"],
    10: ["agent"],
    11: ["server", "tui", "python"],
    12: ["cli"],
}
LAYER = {room: number for number, rooms in LAYERS.items() for room in rooms}

# include/gale is the outside of the engine: rooms from engine up may use all of it, lower rooms only what they implement.
PUBLIC_FROM = LAYER["engine"]
PUBLIC_FOR_ALL = {"error.h"}
# header -> rooms below the engine that implement it
PUBLIC_IMPLEMENTED_BY: dict[str, set[str]] = {"request.h": {"sampling"}}

MAX_LINES = 800
LINES_PER_CONDITIONAL = 1000

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]*)"', re.MULTILINE)
CONDITIONAL = re.compile(r"^[ \t]*#[ \t]*(?:el)?if", re.MULTILINE)


def line_of(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def include_fault(path: str, target: str, root: Path) -> str:
    """Why the file `path` may not include `target`, or ""."""
    room = PurePosixPath(path).parts[1]
    parts = PurePosixPath(target).parts
    if ".." in parts or "." in parts:
        return f'"{target}" is relative: name it from src/, as "room/file.h"'
    if len(parts) == 1:
        if (root / path).parent.joinpath(target).is_file():
            return ""  # a neighbour in the same folder
        return f'"{target}" is neither in this folder nor named from src/'
    other = parts[0]
    if other == "gale":
        header = "/".join(parts[1:])
        if header in PUBLIC_FOR_ALL or LAYER[room] >= PUBLIC_FROM or room in PUBLIC_IMPLEMENTED_BY.get(header, ()):
            return ""
        return f'"{target}" is for engine (layer {PUBLIC_FROM}) and up; {room} is layer {LAYER[room]}'
    if other not in LAYER:
        return f'"{target}": {other} is not a room of tools/check_layers.py'
    if other != room and LAYER[other] >= LAYER[room]:
        return f'"{target}": {room} (layer {LAYER[room]}) may not include {other} (layer {LAYER[other]})'
    return ""


def check(root: Path) -> tuple[list[str], str]:
    """(violations as "file:line: text", the figures)."""
    faults, conditionals, lines, longest = [], [], 0, (0, "")
    for path in source.files(root, ["src", "include", "tests", "tools", "bench", "cmake", "models"]):
        if source.kind(path) in ("", "md"):
            continue
        text = (root / path).read_text(encoding="utf-8", errors="replace")
        length = len(text.splitlines())
        longest = max(longest, (length, path))
        if length > MAX_LINES:
            faults.append(f"{path}:{MAX_LINES + 1}: {length} lines, at most {MAX_LINES}: split it")
        folder = PurePosixPath(path).parts
        if folder[0] != "src" or source.kind(path) != "cpp":
            continue
        if len(folder) == 2:
            faults.append(f"{path}:1: lies in no room: src/ holds only folders")
            continue
        if folder[1] not in LAYER:
            faults.append(f"{path}:1: {folder[1]} is not a room of tools/check_layers.py")
            continue
        code = source.split_cpp(text).code
        for m in INCLUDE.finditer(code):
            fault = include_fault(path, m[1], root)
            if fault:
                faults.append(f"{path}:{line_of(text, m.start())}: {fault}")
        if folder[1] != "base":
            lines += length
            conditionals += [f"{path}:{line_of(text, m.start())}" for m in CONDITIONAL.finditer(code)]
    allowed = math.ceil(lines / LINES_PER_CONDITIONAL)
    if len(conditionals) > allowed:
        faults += [f"{at}: preprocessor conditional; {len(conditionals)} outside src/base, {allowed} allowed in {lines} lines"
                   for at in conditionals]
    figures = (f"{len(conditionals)} preprocessor conditionals in {lines} lines outside src/base (at most {allowed}); "
               f"longest file {longest[0]} lines ({longest[1]})")
    return faults, figures


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent, help="the checkout (default: this one)")
    faults, figures = check(p.parse_args().root)
    for fault in faults:
        print(fault)
    print(f"layers: {len(faults)} violations; {figures}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
