#!/usr/bin/env python3
"""Writes patterns.expected.json: for each regular expression where the Python package `tokenizers` cuts a few texts, or null where it refuses the
expression; and, of classes of characters, where it cuts one text of all characters at which any class changes. Usage: make_patterns.py"""
import json
import pathlib

from tokenizers import Regex, pre_tokenizers

HERE = pathlib.Path(__file__).parent
PATTERNS = r"""\pL \PL+ \Qa.b\E \v \V \L \i \O \N \R \h+ \H+ [\O] [\R] [\X] [\b] [\z] [\v] \e|\a [\h&&[^a-c]]+ [a-z&&[^aeiou]]+ \p{L}{2,3}+
\w{1,3}+a a** a{1,2}{2} a{2}? a{1,3}? a{2}+ a{,2} a{,2}? a+* a?* a*?* a??+ a+?+ a++? a*+? a?+? (a|b)*?{2} a{2}{3} a{2}* a{2,}+ a{2,}? {a} a{b a{,} xa{2}?b
xa{,1}?b x{2}+ (?:a|b)++ a++b a*?b a{,3}b a{2,}? a{0}b *a +a (?:*a) |*a (*a) (*FAIL) (?m:a.b) (?m).+ (?-m). (?m-i:a.) a(?i)b|c (?:a(?i)b|c)d (?i:a|b)c
(?i)a(?-i)b (?i:k) (?i)[k] (?i)ß (?i)ss (?i)[ß]+ (?i)[^ß]+ (?i)st (?i)ſt (?i)ﬁ (?i)ffi (?i)ﬃ (?i)s{2} (?i)ss+ (?i)ass? (?i)(s)s (?i)sss (?i)ssss
(?i)straße (?i)İ (?i)ŉ (?i)'s (?i:'s|'t|'re|'ve|'m|'ll|'d) (?i)\p{Lu}+ (?i)[[:upper:]]+ (?i)[a-z]+ (?i)[à-ÿ]+ (?i)[α-ω]+ (?i)[а-я]+ (?i)[^a-z]+
(?s). (?a)\w (?~ab) \y (?W)\w (?<=a+)b (?<=a*)b (?<!\s+)b (?<=x(a|bc))d (?<=a{1,3})b (?<=a?b)c (?<=(?:a|bc)x)d (?<=\R)b (?<=\w{2,})x (?<=ca{1,3})b (?<!c(?:a|bb){2})d (?<=ca+)b (?i)(?<=ss)t (?<=(?:ab?)+)c (?<=a++)b (?<=[^a-c]{2}|x\d?)b (?<=(?<=a)b?)c (?<=a|bc)d (?<!a)b (?<name>a)\k<name> (a)(b)?\1 (a)\k<1> (a)\k<-1> (?<n>a)\g<n> \2(a) (a)?(?(1)b|c) (?>a|ab)c ^a a$ \Aa a\z a\Z \ba\b \Ba
\Ga [\]a] []a] [] [a\-z] [-a] [a-] [\x61-\x63]+ \x{61} \u0061 \u41 \x61\x62 \xe3\x81\x82 [\xe3\x81\x82]+ \xe9 \141 \o{101} \cA \C-a (?#comment)a a(?#c)+ a(?=b) a\Kb
(?:) |a a| [\p{L}\p{M}]+ [a-z&&b-y&&c-x]+ [[a-c][x-z]]+ [^[a-c]]+ [^a-c&&b-d] [\w&&[^\d]]+ [\W\d]+ [^\W\d]+ [^\P{Lu}]+ [\p{^Lu}]+ \p{^Lu}+ \P{^Lu}+
[[:foo:]] [:alpha:]+ [[=a=]] [[:alnum:]&&[^[:digit:]]]+ [^[:punct:]]+ \p{Nope} \p{sc=Greek} \p{ L u} \p{lu}+ \p{Lowercase_Letter}+ \p{lowercase-letter}
\p{InArabic}+ \p{In_Basic_Latin}+ [\p{Greek}&&\p{Lu}] [^\p{Latin}\s]+ [\p{L}&&\p{Latin}]+ \p{Kawi}\w \p{L}\p{Kawi} \p{Any}
'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+|?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s
[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""".split()
TEXTS = ["ab aab aaab bbb aaaaaaaaa xb xab xaab xaaab", "abc def ABC DEF acd aCd bc BC 123 xyz pL aL PL aG1 Qa.bE a.b", "a\nb a.b\r\nc\r\rd\x0be\x0cf\x85g\u2028h\u2029i",
         "Straße STRASSE STRAẞE straße ſ s S K k \u212a ﬁ fi FI ffi ﬃ ﬀi fﬁ ß ẞ ßß ssß sß ßs sss ss aß ass as st ﬅ ﬆ ŉ ʼn İ i\u0307 'S 'ſ 'ß don't I'LL",
         "é e\u0301 \u0345 日本語 ひらがな カタカナ ー々〆 あ ã", "αβγ Ωʹ ͺ ΑΒΓ Привет МИР àÉÿ", "\u00a0\u200b\u3000\u1680 \t\t", "٣४ ½ ² Ⅷ ① 𝟙 الع", "{a} ]}{ a{b a{,} a** [:]= VLivzO",
         "\x01\x1b\x07\x00 \x7f\x80\x08", "aa abab $+<=>^`|~ «»“”‘’…–—", "\U00010d40\U00011f04\U00011f05a \U0002ebf0 \ue000 don't 3.14 1234567"]
CLASSES = [rf"\p{{{n}}}" for n in """Alphabetic Lowercase Uppercase Emoji Emoji_Presentation Emoji_Modifier_Base Extended_Pictographic ID_Start ID_Continue XID_Continue Cased
Case_Ignorable Math Dash Diacritic Extender Ideographic Unified_Ideograph White_Space Hex_Digit Default_Ignorable_Code_Point Grapheme_Extend Latin Latn Greek Grek Cyrillic Cyrl
Arabic Arab Armenian Hebrew Devanagari Deva Bengali Tamil Kannada Georgian Thai Hangul Hang Hiragana Hira Katakana Kana Han Hani Bopomofo Yi Syriac Thaana Nko Common Zyyy
Inherited Qaai Zinh Adlam Chakma Glagolitic Linear_B Phags_Pa Kawi Garay Tangut Unknown Letter Lowercase_Letter Uppercase_Letter Titlecase_Letter Cased_Letter LC Mark
Nonspacing_Mark Decimal_Number Letter_Number Number Punctuation Open_Punctuation Symbol Math_Symbol Currency_Symbol Separator Space_Separator Control Format Surrogate
Private_Use Unassigned Other L Lu Ll Lo M N Nd P S Z C Cn Alnum Alpha Blank Cntrl Digit Graph Lower Print Punct PosixPunct Space Upper XDigit Word ASCII Any Assigned InHiragana
InCJKUnifiedIdeographs InNoBlock""".split()]
CLASSES += [f"[[:{n}:]]" for n in "alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit".split()] + [r"\w", r"\W", r"[\w]", r"\d", r"\s", r"[\D]"]
CLASSES += [r"[\p{Greek}\p{^Alphabetic}]", r"[^\p{Arabic}]", r"\P{Greek}", r"[\p{L}&&[^\p{Latin}]]", r"[[:^alpha:]]", r"[\P{Cased}\d]", r"[\w&&\p{Greek}]", r"[\W\p{Kawi}]"]


def cuts(pattern, text):
    """Bytes at which the text is cut, or None where the expression is refused."""
    try:
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
    except BaseException:
        return None
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [at[end] for _, (_, end) in split.pre_tokenize_str(text)]


def corners():
    """The characters on both sides of each border of a class."""
    every = "".join(chr(c) for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000)
    found = {0x41, 0x42}
    for pattern in CLASSES:
        at = 0
        for _, (_, end) in pre_tokenizers.Split(Regex(pattern + "+"), "isolated").pre_tokenize_str(every):
            found |= {ord(every[end - 1]), ord(every[min(end, len(every) - 1)])}
    return "".join(map(chr, sorted(found)))


def main():
    text = corners()
    out = {"texts": TEXTS, "patterns": {p: [cuts(p, t) for t in TEXTS] if cuts(p, "a") else None for p in dict.fromkeys(PATTERNS)}, "characters": text, "classes": {}}
    for pattern in CLASSES:
        # By character whether it is a member, each between two that are not: packed as hex.
        joined = pre_tokenizers.Split(Regex(pattern), "removed")
        kept = {c for _, (begin, end) in joined.pre_tokenize_str(text) for c in range(begin, end)}
        bits = "".join("0" if i in kept else "1" for i in range(len(text)))
        out["classes"][pattern] = f"{int(bits[::-1], 2):x}"
    (HERE / "patterns.expected.json").write_text(json.dumps(out, ensure_ascii=False, separators=(",", ":")).replace('],"', '],\n"').replace('","', '",\n"') + "\n")
    print(len(text), "characters", sum(v is None for v in out["patterns"].values()), "of", len(PATTERNS), "refused")


if __name__ == "__main__":
    main()
