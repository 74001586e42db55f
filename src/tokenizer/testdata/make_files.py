#!/usr/bin/env python3
"""Writes files.expected.json: a small vocabulary as a tiktoken file, a tekken.json and sentencepiece .model files, with the ids that
the packages tiktoken and sentencepiece give. Usage: make_files.py > files.expected.json"""
import base64
import io
import json
import sys
import tempfile

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2
import tiktoken
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CORPUS = ("the quick brown fox jumps over the lazy dog and then the other one said that it's not there yet. "
          "Grüße aus München, schöne Straße! 日本語のテキストは日本で。 Привет мир, привет всем. 1234 5678 3.14 ").split(" ")
TEXTS = ["", " ", "the quick brown fox", "  it's   3.14!\n\n", "Grüße, MÜNCHEN ½ ﬁ Ｆｕｌｌ", "日本語のテキスト 한국어", "Привет\tмир", "thethethe" * 5, "a\u3000b\u200bc\x00d",
         "👩‍👩‍👧 e\u0301", " leading and trailing  "]

SYMBOLS = ["<sym>", "한국", "ﬁ", "½the", "[x y]", "thethe"]
SYMBOL_TEXTS = ["한국어 국한", "x한한국한국국x", "▁", "▁▁a▁", " ▁ the▁quick ▁", "qqqq\u200b \u3000", "a  b   c    d", "the the<sym>한국", "<sym>the", "the <sym> fox", "<sym>", "a<sym><sym>b", "ﬁre [x y] z ½the", "  <sym>  x ", "thethethe the", "x ﬁ  ﬁ"]


def ranks():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.train_from_iterator([" ".join(CORPUS)] * 4, trainers.BpeTrainer(vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    letter = {c: b for b, c in byte_letters().items()}
    return {bytes(letter[c] for c in token): i for token, i in sorted(t.get_vocab().items(), key=lambda x: x[1])}


def byte_letters():
    out, extra = {}, 256
    for b in range(256):
        if 33 <= b <= 126 or b >= 161 and b != 173:
            out[b] = chr(b)
        else:
            out[b], extra = chr(extra), extra + 1
    return out


def sentencepiece(kind, swapped=False, **options):
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter([" ".join(CORPUS)] * 3), model_writer=model, vocab_size=options.pop("vocab_size"),
                                   model_type=kind, character_coverage=1.0, minloglevel=2, **options)
    file = model.getvalue()
    if swapped:  # the trainer's ids are then wrong, as in models whose pieces were put into another model's order
        proto = sentencepiece_model_pb2.ModelProto()
        proto.ParseFromString(file)
        first = proto.pieces[0].SerializeToString()
        proto.pieces[0].CopyFrom(proto.pieces[2])
        proto.pieces[2].ParseFromString(first)
        file = proto.SerializeToString()
    sp = spm.SentencePieceProcessor(model_proto=file)
    cases = [{"text": t, "ids": sp.encode(t), "decoded": sp.decode(sp.encode(t))} for t in TEXTS + SYMBOL_TEXTS]
    return {"file": list(file), "cases": cases, "bos": sp.bos_id(), "eos": sp.eos_id()}


def main():
    table = ranks()
    enc = tiktoken.Encoding("small", pat_str=PATTERN, mergeable_ranks=table, special_tokens={"<|end|>": len(table)})
    lines = "".join(f"{base64.b64encode(t).decode()} {r}\n" for t, r in table.items())
    out = {"tiktoken": {"file": lines, "pattern": PATTERN,
                        "cases": [{"text": t, "ids": enc.encode(t, allowed_special="all")} for t in TEXTS + ["x<|end|>the"]]}}
    tekken = {"config": {"pattern": PATTERN, "default_vocab_size": len(table) + 5, "default_num_special_tokens": 5},
              "vocab": [{"rank": r, "token_bytes": base64.b64encode(t).decode(), "token_str": None} for t, r in table.items()]}
    out["tekken"] = {"file": tekken, "cases": [{"text": t, "ids": [i + 5 for i in enc.encode(t)]} for t in TEXTS]}
    out["unigram"] = sentencepiece("unigram", vocab_size=80, normalization_rule_name="identity")
    out["bpe"] = sentencepiece("bpe", vocab_size=380, byte_fallback=True, normalization_rule_name="identity")
    for kind, size in (("unigram", 82), ("bpe", 400)):
        fallback = {"byte_fallback": True} if kind == "bpe" else {}
        out[f"{kind} symbols"] = sentencepiece(kind, vocab_size=size, normalization_rule_name="identity", user_defined_symbols=SYMBOLS, **fallback)
        with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:  # ﬁ to fi, Ｆ to F, ½ to 1/2, <s to [s
            rules.write("FB01\t66 69\nFF26\t46\nBD\t31 2F 32\n3C 73\t5B 73\n")
            rules.flush()
            out[f"{kind} symbols and rules"] = sentencepiece(kind, vocab_size=size, normalization_rule_tsv=rules.name, user_defined_symbols=SYMBOLS, **fallback)
        out[f"{kind} unknown"] = sentencepiece(kind, vocab_size=size - 12 if kind == "unigram" else 130, normalization_rule_name="identity", user_defined_symbols=["한국", "x", "▁▁"],
                                               remove_extra_whitespaces=False, add_dummy_prefix=kind == "bpe")
        out[f"{kind} suffix"] = sentencepiece(kind, vocab_size=size - 12, normalization_rule_name="identity", treat_whitespace_as_suffix=True, **fallback)
        out[f"{kind} swapped"] = sentencepiece(kind, True, vocab_size=size - 12 if kind == "unigram" else 130, normalization_rule_name="identity")
    for kind in ("char", "word"):
        out[kind] = sentencepiece(kind, vocab_size=90, normalization_rule_name="identity", user_defined_symbols=SYMBOLS[:2], hard_vocab_limit=False)
    json.dump(out, sys.stdout, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    main()
