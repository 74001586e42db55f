#!/usr/bin/env python3
"""Writes unicode_tables.cpp from Python's own unicodedata, so that str methods agree with Python. Usage: make_unicode.py > unicode_tables.cpp"""
import unicodedata as u

N = 0x110000


def ranges(test):
    out, start = [], None
    for c in range(N + 1):
        hit = c < N and not 0xD800 <= c < 0xE000 and test(chr(c))
        if hit and start is None:
            start = c
        elif not hit and start is not None:
            out.append((start, c - 1))
            start = None
    return out


def mapping(f):
    """Runs of equal distance: (first, last, distance, stride); stride 2 is the alternating upper, lower order of Latin Extended."""
    pairs = [(c, ord(f(chr(c)))) for c in range(128, N) if not 0xD800 <= c < 0xE000 and len(f(chr(c))) == 1 and f(chr(c)) != chr(c)]
    out = []
    for c, d in pairs:
        if out and out[-1][2] == d - c and c - out[-1][1] in (1, 2) and (out[-1][0] == out[-1][1] or out[-1][3] == c - out[-1][1]):
            out[-1] = (out[-1][0], c, d - c, c - out[-1][1])
        else:
            out.append((c, c, d - c, 1))
    return out


def table(kind, name, rows):
    print(f"constexpr {kind} {name}[] = {{")
    line = "   "
    for row in rows:
        cell = " {" + ", ".join(f"{v:#x}" if abs(v) > 9 else str(v) for v in row) + "},"
        if len(line) + len(cell) > 130:
            print(line)
            line = "   "
        line += cell
    print(line + "\n};\n")


def expansions(name, f, usual):
    """What f makes of a letter where it is several, or where it is not what `usual` makes of it."""
    cells = []
    for c in map(chr, [c for c in range(128, N) if not 0xD800 <= c < 0xE000]):
        if len(f(c)) > 1 if usual("a") == "" else f(c) != usual(c):
            cells.append(f' {{{ord(c):#x}, "' + "".join(f"\\x{b:02x}" for b in f(c).encode()) + '"},')
    print(f"constexpr Expansion {name}[] = {{")
    for start in range(0, len(cells), 4):
        print("   " + "".join(cells[start : start + 4]))
    print("};\n")


def main():
    print("// Written by make_unicode.py: do not edit.")
    print(f"// Unicode {u.unidata_version}.")
    print('#include "chat/jinja/unicode_tables.h"\n\nnamespace gale::jinja::unicode {\nnamespace {\n\n// clang-format off')
    table("Range", "alpha_", ranges(str.isalpha))
    table("Range", "decimal_", ranges(str.isdecimal))
    table("Range", "digit_", ranges(lambda c: c.isdigit() and not c.isdecimal()))
    table("Range", "numeric_", ranges(lambda c: c.isnumeric() and not c.isdigit() and not c.isalpha()))
    # What is unassigned counts as printable: that set changes with every version of Unicode.
    table("Range", "unprintable_", ranges(lambda c: not c.isprintable() and u.category(c) != "Cn"))
    table("Range", "lower_case_", ranges(lambda c: ord(c) > 127 and c.islower()))
    table("Range", "upper_case_", ranges(lambda c: ord(c) > 127 and c.isupper()))
    # What a capital sigma at the end of a word looks behind and ahead for: letters with case, and what is passed over.
    table("Range", "cased_", ranges(lambda c: (c + "Σ").lower().endswith("ς") and ("aΣ" + c).lower()[1] == "σ"))
    table("Range", "case_ignorable_", ranges(lambda c: ("a" + c + "Σ").lower().endswith("ς") and not (c + "Σ").lower().endswith("ς")))
    table("Mapping", "to_upper_", mapping(str.upper))
    table("Mapping", "to_lower_", mapping(str.lower))
    expansions("expand_upper_", str.upper, lambda c: "")
    expansions("expand_title_", str.title, str.upper)
    expansions("expand_fold_", str.casefold, str.lower)
    print("// clang-format on\n\n}  // namespace\n")
    for name in ("alpha", "decimal", "digit", "numeric", "unprintable", "lower_case", "upper_case", "cased", "case_ignorable"):
        print(f"std::span<const Range> {name}() {{ return {name}_; }}")
    for name in ("to_upper", "to_lower"):
        print(f"std::span<const Mapping> {name}() {{ return {name}_; }}")
    for name in ("upper", "title", "fold"):
        print(f"std::span<const Expansion> expand_{name}() {{ return expand_{name}_; }}")
    print("\n}  // namespace gale::jinja::unicode")


if __name__ == "__main__":
    main()
