#!/usr/bin/env python3
"""Writes unicode_*_tables.cpp beside itself: the character properties as the Python package `tokenizers` sees them, found by asking it about every
code point, since each of its parts carries tables of another Unicode version. Usage: make_unicode.py
Needs: tokenizers, regex (grapheme classes only)."""
import contextlib
import os
import unicodedata as u

import regex
import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
ALL = "".join(map(chr, CODES))


def ranges(members):
    out = []
    for c in sorted(members):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def table(kind, name, rows):
    print(f"constexpr {kind} {name}_[] = {{")
    line = "   "
    for row in rows:
        cell = " {" + ", ".join(f"{v:#x}" if abs(v) > 9 else str(v) for v in row) + "},"
        if len(line) + len(cell) > 130:
            print(line)
            line = "   "
        line += cell
    print(line + "\n};\n")


def dropped_by(normalizer):
    """Code points that the normalizer removes where they stand alone."""
    return {c for c in CODES if normalizer.normalize_str(chr(c)) == ""}


def isolated_by(pre):
    """Code points that stand alone between letters."""
    text = "a".join(map(chr, CODES))
    return {ord(word) for word, _ in pre.pre_tokenize_str(text) if len(word) == 1 and word != "a"}


def word_characters():
    """Whitespace cuts where words (\\w+) end, so that "a" and a word character are one piece."""
    text = " ".join("a" + chr(c) for c in CODES)
    return {ord(w[1]) for w, _ in pre_tokenizers.Whitespace().pre_tokenize_str(text) if len(w) == 2 and w[0] == "a"}


def lower_mapping():
    pairs = [(c, normalizers.Lowercase().normalize_str(chr(c))) for c in CODES if c != 0x130]
    out = []
    for c, text in pairs:
        assert len(text) == 1
        d = ord(text)
        if d == c:
            continue
        if out and out[-1][2] == d - c and c - out[-1][1] in (1, 2) and (out[-1][0] == out[-1][1] or out[-1][3] == c - out[-1][1]):
            out[-1] = (out[-1][0], c, d - c, c - out[-1][1])
        else:
            out.append((c, c, d - c, 1))
    return out


def decompositions(normalizer):
    return {c: d for c in CODES if (d := normalizer.normalize_str(chr(c))) != chr(c) and not 0xAC00 <= c <= 0xD7A3}


def combining_classes():
    nfd, known = normalizers.NFD(), {}
    for c in CODES:
        order = u.combining(chr(c))
        if order == 0 or nfd.normalize_str(chr(c)) != chr(c):
            continue
        swaps = nfd.normalize_str(chr(c) + "\u0334") != chr(c) + "\u0334" if order > 1 else (
            nfd.normalize_str("\u0300" + chr(c)) != "\u0300" + chr(c))
        if swaps:
            known[c] = order
    return known


def compositions():
    out = []
    for c in CODES:
        parts = u.decomposition(chr(c)).split()
        if len(parts) != 2 or parts[0].startswith("<"):
            continue
        pair = "".join(chr(int(p, 16)) for p in parts)
        if normalizers.NFC().normalize_str(pair) == chr(c):
            out.append((ord(pair[0]), ord(pair[1]), c))
    return sorted(out)


def scripts():
    """Numbers for the scripts UnicodeScripts tells apart; 0 joins with everything."""
    pre = pre_tokenizers.UnicodeScripts()

    def joins(a, b):
        return len(pre.pre_tokenize_str(chr(a) + chr(b))) == 1

    # A leading character of no script is dropped, which tells those apart.
    def any_script(c):
        words = pre.pre_tokenize_str(chr(c) + "a")
        return words == [("a", (1, 2))]

    kinds, out, last = [], [], None
    for c in CODES:
        if any_script(c):
            kind = 0
        elif last is not None and last[0] != 0 and joins(last[1], c):
            kind = last[0]
        else:
            found = [k for k, example in enumerate(kinds, 1) if joins(example, c)]
            if not found:
                kinds.append(c)
            kind = found[0] if found else len(kinds)
        last = (kind, c)
        if out and out[-1][2] == kind and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c, kind])
    return out


def general_categories():
    """Oniguruma's, and whether it counts a character as Han."""
    out = {}
    for g in ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn".split()):
        for c in normalizers.Replace(Regex(f"[^\\p{{{g}}}]+"), "").normalize_str(ALL):
            out[ord(c)] = g
    han = set(map(ord, normalizers.Replace(Regex("[^\\p{Han}]+"), "").normalize_str(ALL)))
    return out, han


def stand_ins():
    """Characters whose category is younger than Unicode 14, and an older one of the same category and length for each."""
    assert u.unidata_version == "14.0.0", "run this with Python 3.11"
    category, han = general_categories()
    size = lambda c: len(chr(c).encode())
    stable = {}
    for c in CODES:
        if category[c] == u.category(chr(c)) and u.category(chr(c)) == u.ucd_3_2_0.category(chr(c)):
            stable.setdefault((category[c], size(c), c in han), c)
    for c in CODES:  # categories that Unicode 3.2 has no member of with so many bytes
        if category[c] == u.category(chr(c)):
            stable.setdefault((category[c], size(c), c in han), c)
    out = []
    for c in CODES:
        if category[c] == u.category(chr(c)):
            continue
        other = stable[(category[c], size(c), c in han)]
        if out and out[-1][1] == c - 1 and out[-1][2] == other:
            out[-1][1] = c
        else:
            out.append([c, c, other])
    return out


GRAPHEME = ["Control", "Extend", "SpacingMark", "Prepend", "L", "V", "T", "LV", "LVT"]


def graphemes():
    rows = []
    for number, name in enumerate(GRAPHEME, 1):
        extra = "\\p{GCB=ZWJ}" if name == "Extend" else "\\p{GCB=CR}\\p{GCB=LF}" if name == "Control" else ""
        members = {ord(c) for c in regex.findall(f"[\\p{{GCB={name}}}{extra}]", ALL)}
        rows += [(a, b, number) for a, b in ranges(members)]
    return sorted(rows)


def runs(parts):
    """Neighbours whose decompositions are equally long share a row: (first, last, begin, size); the texts lie one after the other."""
    rows, pool = [], []
    for c, d in parts.items():
        if rows and rows[-1][1] == c - 1 and rows[-1][3] == len(d):
            rows[-1][1] = c
        else:
            rows.append([c, c, len(pool), len(d)])
        pool += map(ord, d)
    return rows, pool


def write(name, body, functions):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), f"unicode_{name}_tables.cpp"), "w") as f, contextlib.redirect_stdout(f):
        print("// Written by make_unicode.py: do not edit.")
        print(f"// As tokenizers {tokenizers.__version__} has them.")
        print('#include "tokenizer/unicode.h"\n\nnamespace gale::unicode {\nnamespace {\n\n// clang-format off')
        body()
        print("// clang-format on\n\n}  // namespace\n")
        for kind, function in functions:
            print(f"std::span<const {kind}> {function}() noexcept {{ return {function}_; }}")
        print("\n}  // namespace gale::unicode")


def properties():
    clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    bert = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    whole = decompositions(normalizers.NFD())
    table("Range", "word", ranges(word_characters()))
    table("Range", "punctuation", ranges(isolated_by(pre_tokenizers.Punctuation())))
    table("Range", "numeric", ranges(isolated_by(pre_tokenizers.Digits(individual_digits=True))))
    table("Range", "nonspacing_mark", ranges({c for c in dropped_by(bert) if c not in whole}))
    table("Range", "combining_mark", ranges(dropped_by(normalizers.StripAccents())))
    table("Range", "bert_control", ranges(dropped_by(clean)))
    table("Range", "nmt_removed", ranges(dropped_by(normalizers.Nmt())))
    table("Range", "nmt_space", ranges({c for c in CODES if c != 32 and normalizers.Nmt().normalize_str(chr(c)) == " "}))
    table("Mapping", "lower", lower_mapping())
    classes = combining_classes()
    table("Kind", "combining_class",
          sorted((a, b, k) for k in set(classes.values()) for a, b in ranges(c for c, o in classes.items() if o == k)))


def kinds():
    table("Kind", "script", scripts())
    table("Kind", "grapheme", graphemes())
    table("Kind", "stand_in", stand_ins())


# Names that Oniguruma is asked about: of scripts, general categories, binary properties and blocks, as the Unicode database has them.
CATEGORIES = """Letter Cased_Letter LC Lowercase_Letter Uppercase_Letter Titlecase_Letter Modifier_Letter Other_Letter Mark Combining_Mark
Nonspacing_Mark Spacing_Mark Enclosing_Mark Number Decimal_Number Letter_Number Other_Number Punctuation Connector_Punctuation
Dash_Punctuation Open_Punctuation Close_Punctuation Initial_Punctuation Final_Punctuation Other_Punctuation Symbol Math_Symbol Currency_Symbol
Modifier_Symbol Other_Symbol Separator Space_Separator Line_Separator Paragraph_Separator Other Control Format Surrogate Private_Use Unassigned
L M N P S Z C Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn Cs""".split()
OTHERS = "Alnum Alpha Blank Cntrl Digit Graph Lower Print Punct PosixPunct Space Upper XDigit Word ASCII Any Assigned".split()


def plain(name):
    return "".join(c for c in name.lower() if c not in " _-")


def unicode_names():
    """Every name of every property that the Python package `regex` knows, each once."""
    out = dict.fromkeys(map(plain, CATEGORIES + OTHERS))
    for name, (_, values) in regex._regex_core.PROPERTIES.items():
        out[plain(name)] = None
        if name in ("SCRIPT", "BLOCK"):
            out |= dict.fromkeys(("in" if name == "BLOCK" else "") + plain(value) for value in values)
    return list(out)


def class_members(expression):
    """None where Oniguruma knows no such class."""
    try:
        others = Regex(f"[^{expression}]+")
    except Exception:
        return None
    return normalizers.Replace(others, "").normalize_str(ALL)


def packed(members):
    """Ranges as gaps and lengths in base 32, the lowest digit first; 32 more: digits follow. Characters from "0" on."""
    out, at = "", 0
    joined = ranges(map(ord, members))
    for first, last in joined:
        for number in (first - at, last - first):
            while number >= 32:
                out += chr(48 + 32 + number % 32)
                number //= 32
            out += chr(48 + number)
        at = last + 1
    return out


def classes():
    known = {}
    for name in unicode_names():
        members = class_members(f"\\p{{{name}}}")
        if members is not None:
            known.setdefault(members, []).append(name)
    for name in "alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit".split():
        known.setdefault(class_members(f"[:{name}:]"), []).append(f"[:{name}:]")
    known.setdefault(class_members("\\w"), []).append("\\w")
    print("constexpr Class character_class_[] = {")
    line = "   "
    for members, names in known.items():
        for word in [f'{{R"( {" ".join(names)} )",', *literals(packed(members), 110)]:
            if len(line) + len(word) > 128:
                print(line)
                line = "   "
            line += " " + word
        line += "},"
    print(line + "\n};\n")


def literals(text, width):
    return [f'R"({text[i:i + width]})"' for i in range(0, max(len(text), 1), width)]


def foldings():
    """Characters whose case folding is several characters."""
    print("constexpr Folding folding_[] = {")
    for c in CODES:
        folded = chr(c).casefold()
        if len(folded) > 1:
            escaped = "".join(f"\\x{b:02x}" for b in folded.encode())
            print(f'    {{{c:#x}, "{escaped}"}},')
    print("};\n")


def texts(name, parts):
    rows, pool = runs(parts)
    table("Decomposition", name, rows)
    print(f"constexpr char32_t {name}_text_[] = {{")
    for i in range(0, len(pool), 16):
        print("    " + ", ".join(f"{c:#x}" for c in pool[i:i + 16]) + ",")
    print("};\n")


def main():
    nfd, nfkd = decompositions(normalizers.NFD()), decompositions(normalizers.NFKD())
    names = "word punctuation numeric nonspacing_mark combining_mark bert_control nmt_removed nmt_space".split()
    write("property", properties, [("Range", n) for n in names] + [("Mapping", "lower"), ("Kind", "combining_class")])
    write("kind", kinds, [("Kind", "script"), ("Kind", "grapheme"), ("Kind", "stand_in")])
    write("class", classes, [("Class", "character_class")])
    write("folding", foldings, [("Folding", "folding")])

    def canonical():
        table("Composition", "composition", compositions())
        texts("canonical", nfd)
    write("canonical", canonical, [("Composition", "composition"), ("Decomposition", "canonical"), ("char32_t", "canonical_text")])
    write("compatible", lambda: texts("compatible", {c: d for c, d in nfkd.items() if nfd.get(c) != d}),
          [("Decomposition", "compatible"), ("char32_t", "compatible_text")])


if __name__ == "__main__":
    main()
