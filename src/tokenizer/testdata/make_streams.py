#!/usr/bin/env python3
"""Writes streams.expected.json: decoders of tokenizer.json of every kind and order, with random ids and the text that the Python package
`tokenizers` gives for them. Usage: make_streams.py > streams.expected.json"""
import json
import random

from tokenizers import Tokenizer

VOCAB = ["<0xE2>", "<0x82>", "<0xAC>", "<0x41>", "<0xFF>", "<0xF0>", "▁a", "b", " c", "!", "▁", ".", "d</w>", "e</w>", "▁not", "▁do", "a", "ab", " ",
         "  ", "aa", "##b", "##", "#", "-", "--", "|", "<pad>", "'", " '", "s", "Ġ", "Ã", "©", "ĠÃ", "é", "日本", "n't", "</w>", "é\u0301", "x y", "\n"]
FUSE, FALLBACK = {"type": "Fuse"}, {"type": "ByteFallback"}
BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
META = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
BPE, CTC = {"type": "BPEDecoder", "suffix": "</w>"}, {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True}
WORD = {"type": "WordPiece", "prefix": "##", "cleanup": True}


def text(pattern, content):
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


def regex(pattern, content):
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def strip(content, start, stop):
    return {"type": "Strip", "content": content, "start": start, "stop": stop}


CHAINS = [
    None, [], [FUSE], [BYTES], [FALLBACK], [META], [BPE], [CTC], [dict(CTC, cleanup=False)], [WORD], [dict(WORD, cleanup=False)], [dict(WORD, prefix="")],
    [text("▁", " "), FALLBACK, FUSE, strip(" ", 1, 0)],
    [text("▁", " "), FALLBACK, FUSE, regex("\\s+", " ")],
    [FALLBACK, FUSE, text("▁", " "), strip(" ", 1, 0)],
    [text("▁", " "), FALLBACK, FUSE, strip(" ", 1, 1)],
    [text("▁", " "), FALLBACK, FUSE, strip("a", 3, 2)],
    [FALLBACK, BPE], [FALLBACK, META], [FALLBACK, WORD], [FALLBACK, CTC],
    [BPE, FALLBACK, FUSE], [FUSE, BPE], [FUSE, META], [FUSE, WORD], [FUSE, CTC], [FUSE, FALLBACK],
    [FUSE, text("ab", "X")], [FUSE, text("aab", "<>"), text(">a", "")], [FUSE, text("", "~")], [text("", "~")],
    [FUSE, regex("a+b|!", "X")], [FUSE, regex("(?<=a)b", "")], [FUSE, regex("b(?=a)|a(?!b)", "_")], [FUSE, regex("\\s+$|^a", "|")], [FUSE, regex("\\s+\\z", "")],
    [FUSE, regex("\\b", "'")], [FUSE, regex("a*", "-")], [FUSE, regex("", "~")], [FUSE, regex("(?=b)|b*", "+")], [regex("a*|\\s", "-")], [BYTES, regex("  +", " ")],
    [BYTES, text("</w>", " ")], [BYTES, strip(" ", 2, 2)], [CTC, FALLBACK, FUSE], [CTC, WORD], [WORD, META, FUSE], [META, BPE], [BPE, META], [dict(BPE, suffix="")],
    [FALLBACK, FUSE, regex("[^\\x00-\\x7f]+", "*"), strip("*", 1, 1)], [regex("ab", "a"), FUSE, text("aa", "a"), text("aa", "b"), strip("b", 1, 1)],
    [dict(CTC, word_delimiter_token=""), FUSE], [dict(CTC, pad_token=""), WORD],
]


def certain(ids):
    """No run of byte tokens begins with whole characters and goes wrong then: a stream has given those out."""
    run = b""
    for token in [VOCAB[i] for i in ids] + ["end"]:
        if token.startswith("<0x"):
            run += bytes([int(token[3:5], 16)])
            continue
        try:
            run.decode()
        except UnicodeDecodeError as e:
            if e.start > 0:
                return False
        run = b""
    return True


def main():
    rng, rows = random.Random(5), []
    for chain in CHAINS:
        model = {"type": "WordLevel", "vocab": {t: i for i, t in enumerate(VOCAB)}, "unk_token": "a"}
        file = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
                "post_processor": None, "decoder": None if chain is None else chain[0] if len(chain) == 1 else {"type": "Sequence", "decoders": chain},
                "model": model}
        reference = Tokenizer.from_str(json.dumps(file))
        runs = [[6, 0, 1, 2, 7], [0, 1], [0, 1, 7], [16, 7, 9], [18, 19, 16, 19]]
        runs += [rng.choices(rng.sample(range(len(VOCAB)), rng.choice([3, 8, 30])), k=rng.choice([1, 2, 6, 20])) for _ in range(40)]
        cases = []
        for ids in filter(certain, runs):
            try:
                cases.append({"ids": ids, "decoded": reference.decode(ids)})
            except BaseException:  # the reference's Strip panics on a text that is shorter
                pass
        rows.append({"json": file, "cases": cases})
    print("[" + ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows) + "]")


if __name__ == "__main__":
    main()
