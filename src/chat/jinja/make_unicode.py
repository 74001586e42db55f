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
    table("Mapping", "to_upper_", mapping(str.upper))
    table("Mapping", "to_lower_", mapping(str.lower))
    print("constexpr Expansion expand_upper_[] = {")
    for c in range(128, N):
        if not 0xD800 <= c < 0xE000 and len(chr(c).upper()) > 1:
            print(f'    {{{c:#x}, "' + "".join(f"\\x{b:02x}" for b in chr(c).upper().encode()) + '"},')
    print("};\n// clang-format on\n\n}  // namespace\n")
    for name in ("alpha", "decimal", "digit", "numeric", "unprintable", "lower_case"):
        print(f"std::span<const Range> {name}() {{ return {name}_; }}")
    for name in ("to_upper", "to_lower"):
        print(f"std::span<const Mapping> {name}() {{ return {name}_; }}")
    print("std::span<const Expansion> expand_upper() { return expand_upper_; }")
    print("\n}  // namespace gale::jinja::unicode")


if __name__ == "__main__":
    main()
