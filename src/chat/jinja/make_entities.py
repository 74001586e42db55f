#!/usr/bin/env python3
"""Writes html_entities.cpp from Python's html.entities, for |striptags. Usage: make_entities.py > html_entities.cpp"""
from html.entities import html5


def octal(text):
    return "".join(c if 32 < ord(c) < 127 and c not in '"\\?' else "".join(f"\\{b:03o}" for b in c.encode()) for c in text)


def main():
    print("// Written by make_entities.py: do not edit. The named character references of HTML 5.")
    print('#include "chat/jinja/html_entities.h"\n\nnamespace gale::jinja {\n')
    print("// Name, ! where it may stand without a semicolon, \\2, text, \\1.\n// clang-format off")
    print("std::string_view html_entities() {\n  return")
    line = ""
    for name in sorted(n for n in html5 if n.endswith(";")):
        cell = name[:-1] + ("!" if name[:-1] in html5 else "") + "\\002" + octal(html5[name]) + "\\001"
        if len(line) + len(cell) > 124:
            print(f'    "{line}"')
            line = ""
        line += cell
    print(f'    "{line}";\n}}\n// clang-format on\n\n}}  // namespace gale::jinja')


if __name__ == "__main__":
    main()
