#!/usr/bin/env python3
"""Writes components.expected.json: a tiny tokenizer for each part of tokenizer.json and each of its options, with the ids, offsets (in
characters) and texts that the Python package `tokenizers` gives. Usage: make_components.py > components.expected.json"""
import base64
import json
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

TEXTS = ["", " ", "Hello World", "  it's 3.14,  don't!\n", "Ｆｕｌｌ ﬁ ½ e\u0301é\u0323\u0307 İ ß Σ", "日本語テキスト 한국어 각 ひらカタ", "a\u200bb\ufeffc\x00\x07\u00ad d\u3000e\u0085f",
         "--//--ab__ab--", "👩‍👩‍👧🇩🇪👍🏽 ❤️", "abc123١٢٣ⅧⅨ²", "Привет мир क्षि ก็", "[X] <m>  ab[X]cd <m>ab Word Words [s]"]
U = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,!'-/_"


def charsmap(rules):
    """A double array trie over a few rules, as sentencepiece lays it out, with texts behind it."""
    texts, values = b"", {}
    for key, text in rules.items():
        values[key.encode() + b"\0"] = len(texts)
        texts += text.encode() + b"\0"
    units, used = [0] * 1024, {0}

    def build(node, keys, depth):
        labels = sorted({k[depth] for k in keys})
        offset = next(o for o in range(1, 2048) if all((o ^ c) not in used for c in labels) and (node ^ o) % 256 != 0 or o == 1 and node == 0)
        while any((offset ^ c) in used for c in labels):
            offset += 1
        units.extend([0] * max(0, (offset | 255) + 1 - len(units)))
        units[node] |= (node_offset(node, offset)) << 10
        for c in labels:
            used.add(offset ^ c)
        for c in labels:
            inner = [k for k in keys if k[depth] == c]
            child = offset ^ c
            if c == 0:
                units[child] = values[inner[0]] | 1 << 31
                units[node] |= 1 << 8
            else:
                units[child] |= c
                build(child, inner, depth + 1)

    def node_offset(node, offset):
        return node ^ offset

    build(0, list(values), 0)
    blob = b"".join(u.to_bytes(4, "little") for u in units)
    return len(blob).to_bytes(4, "little") + blob + texts


def word_vocab(tokenizer):
    """Every word the tokenizer's front makes of the texts."""
    words = {"<unk>": 0}
    for text in TEXTS[1:]:
        normal = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        pieces = tokenizer.pre_tokenizer.pre_tokenize_str(normal) if tokenizer.pre_tokenizer else [(normal, None)]
        for word, _ in pieces[: 40]:
            words.setdefault(word, len(words))
    return words


def front(normalizer=None, pre=None):
    t = Tokenizer(models.WordLevel({"<unk>": 0}, "<unk>"))
    if normalizer:
        t.normalizer = normalizer
    if pre:
        t.pre_tokenizer = pre
    t.model = models.WordLevel(word_vocab(t), "<unk>")
    return t


def letters(n=400):
    """A BPE over single characters and a few rules, so that every character of the texts shows."""
    chars = sorted({c for t in TEXTS for c in t} | set(U))
    vocab = {"<unk>": 0}
    for c in chars[:n]:
        vocab[c] = len(vocab)
    merges = [("a", "b"), ("l", "l"), ("H", "e"), ("He", "ll"), ("o", "r"), ("W", "or"), ("d", "s"), ("-", "-"), (" ", " ")]
    for a, b in merges:
        vocab[a + b] = len(vocab)
    return vocab, merges


def bpe(**options):
    vocab, merges = letters(options.pop("n", 400))
    for b in range(256) if options.get("byte_fallback") else []:
        vocab[f"<0x{b:02X}>"] = len(vocab)
    for word in options.pop("words", []):
        vocab.setdefault(word, len(vocab))
    return Tokenizer(models.BPE(vocab=vocab, merges=merges, **options))


def byte_bpe(pre, **options):
    vocab = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = [("a", "b"), ("l", "l"), ("H", "e"), ("Ġ", "W"), ("o", "r"), ("Ġ", "Ġ"), ("Ã", "©")]
    for a, b in merges:
        vocab.setdefault(a + b, len(vocab))
    for word in options.pop("words", []):
        vocab.setdefault(word, len(vocab))
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges, **options))
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    return t


def with_parts(t, **parts):
    for name, part in parts.items():
        setattr(t, name, part)
    return t


def with_added(t, tokens, special=()):
    t.add_special_tokens([AddedToken(*a, **k) for a, k in special])
    t.add_tokens([AddedToken(*a, **k) for a, k in tokens])
    return t


def all_tokenizers():
    n, p, d = normalizers, pre_tokenizers, decoders
    for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel", "Strip"):
        yield f"normalizer {name}", front(getattr(n, name)(), p.FixedLength(2))
    yield "normalizer Strip left", front(n.Strip(left=True, right=False), p.WhitespaceSplit())
    yield "normalizer Strip right", front(n.Strip(left=False, right=True), p.FixedLength(3))
    yield "normalizer Prepend", front(n.Prepend("▁▁"), p.FixedLength(2))
    yield "normalizer Replace", front(n.Replace("--", "—~"), p.FixedLength(2))
    yield "normalizer Replace regex", front(n.Replace(Regex("\\s{2,}|[\\h&&[^0-9]]"), "<>"), p.FixedLength(2))
    yield "normalizer Replace empty", front(n.Replace(Regex("[a-m]+"), ""), p.FixedLength(2))
    yield "normalizer Sequence", front(n.Sequence([n.NFD(), n.StripAccents(), n.Lowercase(), n.Strip()]), p.WhitespaceSplit())
    for i, o in enumerate([{}, {"lowercase": False}, {"strip_accents": False}, {"clean_text": False}, {"handle_chinese_chars": False},
                           {"lowercase": False, "strip_accents": True}]):
        yield f"normalizer Bert {o}", front(n.BertNormalizer(**o), p.BertPreTokenizer())
    rules = {"ﬁ": "fi", "½": "1/2", "Ｆ": "F", "ｕ": "u", "e\u0301": "é", "\u3000": " ", "\u00ad": "", "テ": "テテ", "é": "e"}
    yield "normalizer Precompiled", front(n.Precompiled(charsmap(rules)), p.FixedLength(2))
    gone = {"H": "", "-": "", "/": "xy", "Ｆ": "", "ｕ": "", "日": "", "本": "本本", "語": "", "a": "", "1": "", "2": "two", "3": "", "[": "", "П": ""}
    yield "normalizer Precompiled removing", front(n.Precompiled(charsmap(gone)), p.FixedLength(1))
    yield "normalizer Precompiled removing first", front(n.Precompiled(charsmap(gone)), p.Sequence([p.WhitespaceSplit(), p.Metaspace(prepend_scheme="first")]))
    yield "normalizer Replace nothing", front(n.Replace("", "~"), p.FixedLength(2))
    t = front(n.Replace(Regex("^|(?=b)"), "~"), p.Metaspace(prepend_scheme="first"))
    t.add_special_tokens(["ab", "[X]"])
    yield "normalizer Replace nothing at starts", t
    for behavior in ("isolated", "merged_with_previous", "contiguous"):
        yield f"pre Split nothing {behavior}", front(None, p.Split("", behavior))
    yield "pre Split nothing inverted", front(None, p.Split(Regex(""), "merged_with_next", invert=True))
    for o in ({}, {"add_prefix_space": False}, {"use_regex": False}):
        yield f"pre ByteLevel {o}", front(None, p.ByteLevel(**o))
    for scheme in ("always", "first", "never"):
        for split in (True, False):
            yield f"pre Metaspace {scheme} {split}", front(None, p.Metaspace(prepend_scheme=scheme, split=split))
    for name in ("WhitespaceSplit", "Punctuation", "FixedLength", "ByteLevel"):  # where the first word is not the text's start
        yield f"pre Metaspace first after {name}", front(n.Replace("½", "1/2"), p.Sequence([getattr(p, name)(), p.Metaspace(prepend_scheme="first")]))
    yield "pre Metaspace after a split", front(None, p.Sequence([p.Punctuation(), p.Metaspace(prepend_scheme="first")]))
    yield "pre Metaspace other mark", front(None, p.Metaspace(replacement="_", prepend_scheme="always"))
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            yield f"pre Split {behavior} {invert}", front(None, p.Split(Regex("[-/ ]"), behavior, invert))
        yield f"pre Split text {behavior}", front(None, p.Split("--", behavior))
        yield f"pre Punctuation {behavior}", front(None, p.Punctuation(behavior))
    yield "pre Split empty matches", front(None, p.Split(Regex("(?=l)|o*"), "isolated"))
    yield "pre Split Oniguruma", front(None, p.Split(Regex("\\p{Han}+|\\p{^L}{2}+|(?m:\\n.)|[\\w&&[^\\p{Lu}]]+"), "isolated"))
    for c in (r"\w", r"[\w]", r"\W", r"[\W\d]", r"\p{Word}", "[[:alnum:]]", "[^[:punct:]]", r"\p{Punct}", "[[:^alpha:][:digit:]]", "[[:upper:]]",
              "[[:lower:]&&[^a-f]]", "[[:graph:]]", "[[:print:]]", "[[:cntrl:]]", "[[:blank:]]", r"\H", r"[^\S]", r"\b", r"\B|ab"):
        yield f"pre Split class {c}", front(None, p.Split(Regex(c), "isolated"))
    for name in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer", "UnicodeScripts"):
        yield f"pre {name}", front(None, getattr(p, name)())
    yield "pre Digits", front(None, p.Digits())
    yield "pre Digits alone", front(None, p.Digits(individual_digits=True))
    yield "pre CharDelimiterSplit", front(None, p.CharDelimiterSplit("-"))
    yield "pre FixedLength", front(None, p.FixedLength(length=3))
    yield "pre ByteLevel before others", front(None, p.Sequence([p.ByteLevel(), p.Digits(True), p.Split(Regex("Ġ"), "removed")]))
    yield "bpe", bpe()
    yield "bpe unknown", bpe(unk_token="<unk>", n=90)
    yield "bpe fused unknown", bpe(unk_token="<unk>", fuse_unk=True, n=90)
    yield "bpe byte fallback", with_parts(bpe(unk_token="<unk>", byte_fallback=True, n=90),
                                          decoder=d.Sequence([d.ByteFallback(), d.Fuse()]))
    yield "bpe whole words", with_parts(bpe(ignore_merges=True, words=["Hello", "World", "mir"]), pre_tokenizer=p.WhitespaceSplit())
    vocab = {c: i for i, c in enumerate("abdelorHW")}
    for c in list(vocab):
        for form in (c + "</w>", "##" + c, "##" + c + "</w>"):
            vocab.setdefault(form, len(vocab))
    vocab.update({"<unk>": len(vocab), "He": len(vocab) + 1, "Hell": len(vocab) + 2, "##ll": len(vocab) + 3})
    affix = models.BPE(vocab=vocab, merges=[("H", "##e"), ("##l", "##l"), ("He", "##ll")], unk_token="<unk>",
                       continuing_subword_prefix="##", end_of_word_suffix="</w>")
    yield "bpe affixes", with_parts(Tokenizer(affix), pre_tokenizer=p.Whitespace(), decoder=d.BPEDecoder())
    suffix = {c: i for i, c in enumerate(sorted(p.ByteLevel.alphabet()))}
    for c in list(suffix):
        suffix[c + "</w>"] = len(suffix)
    suffix.update({"ab": len(suffix), "ll": len(suffix) + 1})
    clip = Tokenizer(models.BPE(vocab=suffix, merges=[("a", "b"), ("l", "l")], end_of_word_suffix="</w>"))
    yield "bpe suffix on bytes", with_parts(clip, pre_tokenizer=p.Sequence(
        [p.Split(Regex("\\p{L}+|\\p{N}|[^\\s\\p{L}\\p{N}]+"), "removed", True), p.ByteLevel(add_prefix_space=False, use_regex=False)]),
        decoder=d.Sequence([d.ByteLevel(), d.Replace("</w>", " ")]))
    yield "bytes", byte_bpe(p.ByteLevel())
    yield "bytes trimmed", with_parts(byte_bpe(p.ByteLevel()), post_processor=processors.ByteLevel())
    yield "bytes trimmed without prefix", with_parts(byte_bpe(p.ByteLevel(add_prefix_space=False)),
                                                     post_processor=processors.ByteLevel(add_prefix_space=False))
    scored = [("<unk>", 0.0), ("▁", -2.0), ("a", -3.0), ("b", -3.5), ("ab", -4.0), ("▁Hell", -5.0), ("▁He", -4.5), ("llo", -5.0), ("l", -6.0),
              ("o", -6.0), ("▁World", -7.0), ("W", -9.0), ("or", -5.5), ("ld", -5.5), ("日本", -6.0), ("本語", -5.0), ("1", -6.0), ("23", -7.0)]
    for fallback in (False, True):
        pieces = scored + ([(f"<0x{b:02X}>", -20.0) for b in range(256)] if fallback else [])
        t = Tokenizer(models.Unigram(pieces, 0, byte_fallback=fallback))
        yield f"unigram {fallback}", with_parts(t, pre_tokenizer=p.Metaspace(split=not fallback), decoder=d.Sequence([d.ByteFallback(), d.Metaspace()]))
    pieces = ["[UNK]", "[CLS]", "[SEP]", "Hello", "He", "##llo", "W", "##or", "##ld", "it", "'", "s", "don", "t", "a", "##b", "ab", "##ab", "日", "##本", "."]
    wp = lambda **o: Tokenizer(models.WordPiece({x: i for i, x in enumerate(pieces)}, unk_token="[UNK]", **o))
    yield "wordpiece", with_parts(wp(), pre_tokenizer=p.BertPreTokenizer(), decoder=d.WordPiece(),
                                  post_processor=processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1)))
    yield "wordpiece short words", with_parts(wp(max_input_chars_per_word=4), pre_tokenizer=p.Whitespace(), decoder=d.WordPiece(cleanup=False))
    yield "roberta", with_parts(byte_bpe(p.ByteLevel(), words=["<s>", "</s>"]), post_processor=processors.RobertaProcessing(("</s>", 264), ("<s>", 263)))
    yield "template", with_parts(bpe(words=["<s>", "</s>"]), post_processor=processors.TemplateProcessing(
        single="<s>:2 $A:1 </s> </s>:3", pair="<s> $B:4 </s> $A:5", special_tokens=[("<s>", 98), ("</s>", 99)]))
    yield "processors", with_parts(byte_bpe(p.ByteLevel(), words=["<s>"]), post_processor=processors.Sequence(
        [processors.ByteLevel(), processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 263)])]))
    mask = [(("[X]",), {"lstrip": True}), (("<m>",), {"rstrip": True, "lstrip": True})]
    for trim in (True, False):
        for prefix in (True, False):
            yield f"roberta mask {trim} {prefix}", with_added(with_parts(
                byte_bpe(p.ByteLevel(add_prefix_space=prefix), words=["<s>", "</s>"]),
                post_processor=processors.RobertaProcessing(("</s>", 264), ("<s>", 263), trim_offsets=trim, add_prefix_space=prefix)), [], mask)
    yield "bpe byte fallback behind letters", with_parts(bpe(unk_token="<unk>", byte_fallback=True, n=90), pre_tokenizer=p.ByteLevel(), decoder=d.Fuse())
    partial = {"<unk>": 0, "a": 1, "b": 2, "<0xC3>": 3, "<0xA9>": 4, "<0xE6>": 5, "<0x97>": 6, "<0xA5>": 7, "Ġ": 8, "<0xC2>": 9}
    for pre in (None, p.ByteLevel()):
        yield f"bpe few byte tokens {pre is None}", with_parts(Tokenizer(models.BPE(partial, [], unk_token="<unk>", byte_fallback=True)), decoder=d.Fuse(), **({"pre_tokenizer": pre} if pre else {}))
    lone = [(("[X]",), {"single_word": True}), (("##b",), {"lstrip": True, "single_word": True}), (("don",), {"single_word": True})]
    yield "wordpiece added only", with_added(with_parts(Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "t": 2}, unk_token="[UNK]")), pre_tokenizer=p.BertPreTokenizer()), lone)
    yield "wordlevel added only", with_added(with_parts(Tokenizer(models.WordLevel({"<unk>": 0, "ab": 1}, unk_token="<unk>")), pre_tokenizer=p.Whitespace()),
                                             [(("X",), {"single_word": True}), (("don",), {"single_word": True}), (("it",), {"rstrip": True, "single_word": True})])
    holes = json.loads(with_added(bpe(), [(("[X]",), {}), (("<m>",), {}), (("ab",), {})]).to_str())
    for token in holes["added_tokens"]:
        token["id"] = token["id"] * 3 + 50
    yield "added ids with holes", Tokenizer.from_str(json.dumps(holes)), holes
    for lstrip in (False, True):
        for rstrip in (False, True):
            tokens = [(("[X]",), {"lstrip": lstrip, "rstrip": rstrip}), (("<m>",), {"lstrip": rstrip, "rstrip": lstrip, "normalized": False})]
            yield f"added strip {lstrip} {rstrip}", with_added(bpe(), tokens)
    for rstrip in (False, True):
        yield f"added spaces {rstrip}", with_added(bpe(), [(("<m>",), {"rstrip": True}), (("  ",), {"lstrip": True, "rstrip": rstrip})])
    yield "added single word", with_added(bpe(), [(("ab",), {"single_word": True}), (("Word",), {"single_word": True, "normalized": False})])
    yield "added normalized", with_added(with_parts(bpe(), normalizer=n.Lowercase()), [(("WORD",), {"normalized": True}), (("Hello",), {"normalized": False})],
                                         [(("[s]",), {}), (("[X]",), {})])
    yield "added overlapping", with_added(bpe(), [(("ab",), {}), (("ab__",), {}), (("__ab--",), {}), (("--",), {"rstrip": True})])
    forms = {"no text": ("[X]:3", "$B:1 [X]:2 $A"), "the text twice": ("$A [X] $A:1", "$A [X]:1 $B:1 $A:2 $A:3"), "nothing": ("[Y]", "$B $A")}
    for name, (single, pair) in forms.items():
        yield f"template with {name}", with_parts(bpe(), post_processor=processors.TemplateProcessing(
            single=single, pair=pair, special_tokens=[("[X]", 98_765), {"id": "[Y]", "ids": [], "tokens": []}]))
    yield "bert ids outside", with_parts(bpe(), post_processor=processors.BertProcessing(("</s>", 70_000), ("<s>", 80_000)))
    yield "roberta ids outside", with_parts(bpe(), post_processor=processors.RobertaProcessing(("</s>", 70_000), ("<s>", 80_000)))
    many = n.Sequence([n.Sequence([n.Replace(chr(0x61 + i), chr(0x62 + i)) for i in range(20)]) for _ in range(6)])
    yield "normalizers, many", front(many, p.FixedLength(2))
    yield "normalizer Replace nothing of nothing", front(n.Sequence([n.Replace(Regex("."), ""), n.Replace("", "~"), n.Replace(Regex("a*"), "+")]), p.FixedLength(2))
    yield "decoder none", front(None, p.WhitespaceSplit())
    for name, base, decoder in (("none on bytes", byte_bpe(p.ByteLevel()), None), ("none on byte fallback", bpe(byte_fallback=True, n=90), None),
                                ("empty Sequence", front(None, p.WhitespaceSplit()), {"type": "Sequence", "decoders": []})):
        file = json.dumps(json.loads(base.to_str()) | {"decoder": decoder})
        yield f"decoder {name}", Tokenizer.from_str(file)
    for cleanup in (True, False):
        yield f"decoder CTC {cleanup}", with_parts(bpe(), decoder=d.CTC(pad_token="-", word_delimiter_token="/", cleanup=cleanup))
        yield f"decoder WordPiece {cleanup}", with_parts(bpe(), decoder=d.WordPiece(prefix="a", cleanup=cleanup))
    yield "decoder BPEDecoder", with_parts(bpe(), decoder=d.BPEDecoder(suffix="l"))
    yield "decoder Strip", with_parts(bpe(), decoder=d.Strip("-", 1, 1))
    yield "decoder fused Strip", with_parts(bpe(), decoder=d.Sequence([d.Fuse(), d.Strip(" ", 1, 0)]))
    yield "decoder fused Strip both", with_parts(bpe(), decoder=d.Sequence([d.Fuse(), d.Strip("-", 2, 2), d.Replace("it", "IT")]))
    yield "decoder Replace", with_parts(bpe(), decoder=d.Sequence([d.Replace("l", "L"), d.Replace(Regex("[aeiou]"), "*")]))
    yield "decoder Metaspace", with_parts(bpe(), decoder=d.Metaspace(replacement="-", prepend_scheme="always"))
    yield "decoder Metaspace never", with_parts(bpe(), decoder=d.Metaspace(replacement="-", prepend_scheme="never"))


def limits():
    for options in ({"max_length": 7}, {"max_length": 7, "direction": "left"}, {"max_length": 12, "strategy": "only_first"},
                    {"max_length": 14, "strategy": "only_second"}, {"max_length": 2}, {"max_length": 25},
                    {"max_length": 9, "stride": 2}, {"max_length": 9, "stride": 2, "direction": "left"},
                    {"max_length": 14, "stride": 3, "strategy": "only_second"}, {"max_length": 7, "stride": 4}):
        t = with_parts(bpe(words=["<s>"]), post_processor=processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 98)]))
        t.enable_truncation(**options)
        yield f"truncation {options}", t
    for name, post in (("Bert", processors.BertProcessing(("</s>", 97), ("<s>", 98))),
                       ("Roberta", processors.RobertaProcessing(("</s>", 97), ("<s>", 98), trim_offsets=True, add_prefix_space=False))):
        t = with_parts(bpe(words=["<s>"]), post_processor=post)
        t.enable_truncation(12, stride=1)
        t.enable_padding(length=14)
        yield f"truncation and padding, {name}", t
    for options in ({"length": 20, "pad_id": 3}, {"pad_to_multiple_of": 8, "direction": "left", "pad_type_id": 1}):
        t = bpe()
        t.enable_padding(**options)
        yield f"padding {options}", t


def sequences():
    """Post-processors that place tokens one after the other, each in what the one before made."""
    parts = {"Bert": processors.BertProcessing(("</s>", 97), ("<s>", 98)), "Roberta": processors.RobertaProcessing(("</s>", 96), ("<s>", 95)),
             "Template": processors.TemplateProcessing(single="<s> $A:3", pair="<s>:2 $B:4 $A:5 <s>", special_tokens=[("<s>", 94)]),
             "Template of texts": processors.TemplateProcessing(single="$A:3", pair="$B:4 $A:5", special_tokens=[]), "ByteLevel": processors.ByteLevel()}
    for names in (("Bert", "Template"), ("Template", "Bert"), ("Roberta", "Template"), ("Template", "Roberta"), ("Bert", "Roberta"), ("Roberta", "Bert"), ("Bert", "Bert"),
                  ("Template", "Template"), ("Template of texts", "Template"), ("Bert", "Template of texts", "Roberta"), ("ByteLevel", "Template", "ByteLevel", "Bert")):
        t = with_parts(byte_bpe(pre_tokenizers.ByteLevel()), post_processor=processors.Sequence([parts[name] for name in names]))
        yield "processors " + ", ".join(names), t


def decoding():
    """Tokens that are special, normalized or both, and a vocabulary with holes; what lists of ids decode to."""
    n, p, d = normalizers, pre_tokenizers, decoders
    special = [(("<S>",), {"normalized": True}), (("<T>",), {"normalized": False}), (("it",), {"normalized": True})]
    tokens = [(("IT",), {"normalized": True}), (("<t>",), {"normalized": False}), (("<U>",), {"normalized": True})]
    for name, normalizer in (("Lowercase", n.Lowercase()), ("Prepend", n.Prepend("▁")), ("none", None)):
        t = with_added(with_parts(bpe(), **({"normalizer": normalizer} if normalizer else {})), tokens, special)
        yield f"decode special and normalized, {name}", t
        yield f"decode special and normalized, {name}, fused", with_parts(Tokenizer.from_str(t.to_str()), decoder=d.Sequence([d.Replace("▁", " "), d.Fuse()]))
    yield "decode bytes", with_added(with_parts(byte_bpe(p.ByteLevel()), normalizer=n.Lowercase()), tokens, special)
    file = {"added_tokens": [{"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": s}
                             for i, c, s in ((40, "ab", True), (41, "[X]", True), (42, "<m>", False))],
            "pre_tokenizer": {"type": "Whitespace"}, "model": {"type": "WordLevel", "vocab": {"it": 0, "ab": 40, "<unk>": 5}, "unk_token": "<unk>"}}
    yield "a vocabulary with holes", Tokenizer.from_str(json.dumps(file)), file


def lists_of(t):
    r = random.Random(7)
    added, all_ids = list(t.get_added_tokens_decoder()), list(t.get_vocab().values())
    return [[r.choice(added if r.random() < 0.5 else all_ids) for _ in range(r.randint(1, 6))] for _ in range(30)]


def decoded(t, ids):
    try:
        return t.decode(ids, skip_special_tokens=True)
    except BaseException:  # the reference's Strip panics on an empty token
        return None


def full(e, windows=True):  # what is cut off of two texts is there twice: windows of windows too
    return {"ids": e.ids, "offsets": e.offsets, "types": e.type_ids, "special": e.special_tokens_mask, "attention": e.attention_mask,
            **({"overflowing": [full(w, False) for w in e.overflowing]} if windows and e.overflowing else {})}


def main():
    out = []
    for name, t, *file in all_tokenizers():
        rows = []
        for text in TEXTS:
            e = t.encode(text)
            rows.append({"text": text, "ids": e.ids, "offsets": [x for o in e.offsets for x in o], "decoded": decoded(t, e.ids)})
        out.append({"name": name, "json": file[0] if file else json.loads(t.to_str()), "cases": rows, "pair": full(t.encode(TEXTS[2], TEXTS[3])),
                    "single": full(t.encode(TEXTS[3]))})
    for name, t in sequences():
        row = {"name": name, "json": json.loads(t.to_str()), "cases": []}
        for key, texts in (("single", (TEXTS[3],)), ("pair", (TEXTS[2], TEXTS[3]))):
            for prefix, special in (("", True), ("plain ", False)):
                try:
                    row[prefix + key] = full(t.encode(*texts, add_special_tokens=special))
                except BaseException:  # the reference panics where a template is given more than two parts
                    row[prefix + key] = None
        out.append(row)
    for name, t, *file in decoding():
        rows = [{"text": x, "ids": e.ids, "offsets": [y for o in e.offsets for y in o], "decoded": decoded(t, e.ids)} for x in TEXTS for e in (t.encode(x),)]
        out.append({"name": name, "json": file[0] if file else json.loads(t.to_str()), "cases": rows, "single": full(t.encode(TEXTS[3])), "pair": full(t.encode(TEXTS[2], TEXTS[3])),
                    "decodes": [{"ids": ids, "text": t.decode(ids), "with_special": t.decode(ids, skip_special_tokens=False)} for ids in lists_of(t)]})
    for name, t in limits():
        row = {"name": name, "json": json.loads(t.to_str()), "cases": []}
        for key, texts in (("single", (TEXTS[3],)), ("pair", (TEXTS[2], TEXTS[3]))):
            try:
                row[key] = full(t.encode(*texts))
            except BaseException:  # the reference panics where the stride is too long
                row[key] = None
        out.append(row)
    print("[" + ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in out) + "]")


if __name__ == "__main__":
    main()
