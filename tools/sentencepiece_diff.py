#!/usr/bin/env python3
"""Compares Gale's reading of sentencepiece's .model files with the Python package `sentencepiece` on random and adversarial strings.

Usage: sentencepiece_diff.py [MODEL...] [--random 20] [--gale BINARY] [-n 20000] [--seed 1] [--keep FOLDER]
--random trains as many small models with options drawn by chance. Compares ids and decoded text; exits 1 where anything differs
and prints the shortest cases. Text that looks like a control token is text, as sentencepiece has it."""
import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import Tokenizer, models

from tokenizer_diff import WORDS, Strings

SYMBOLS = ["<sep>", "<a>", "ab", "the", "▁", "▁▁", " ", "  ", " x", "x ", "é", "ｶ", "\n", "\t", "日本", "the quick", "<a><b>", "ﬁ", "1", "12", "!?", "\u200b", "👍"]
CONTROLS = ["<ctl>", "<mask>", "[CLS]"]
UNUSED, CONTROL, USER = 5, 3, 4


class Texts:
    """Strings of a model's own pieces among the others."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.strings = Strings(Tokenizer(models.BPE({"a": 0}, [])), seed)
        self.pieces = ["a"]

    def __call__(self):
        r = self.random
        while True:
            out = self.strings.text()
            if isinstance(out, str):
                break
        for _ in range(r.choice([0, 0, 1, 2, 6])):
            at = r.randint(0, len(out))
            part = r.choice(self.pieces + SYMBOLS) if r.random() < 0.6 else r.choice([" ", "  ", "▁", " ▁", "▁ ", "\u3000", "\u00a0", "\ufffd"])
            out = out[:at] + part * r.choice([1, 1, 1, 2, 3]) + out[at:]
        return out.replace("\0", "")


def train(path, seed):
    r = random.Random(seed)
    flag = lambda: r.random() < 0.5
    texts = Texts(seed)
    lines = os.path.splitext(path)[0] + ".txt"
    with open(lines, "w") as f:
        for _ in range(1500):  # mostly a few words, so that the rare characters of the others stay unknown
            some = [r.choice(WORDS + ["▁", "12 ", "aab"]) for _ in range(20)]
            f.write(r.choice([" ", " ", ""]).join(some if r.random() < 0.97 else [texts()]).replace("\n", " ").replace("\r", " ") + "\n")
    kind = r.choice(["unigram", "unigram", "bpe", "bpe", "char", "word"])
    options = dict(
        input=lines, model_prefix=os.path.splitext(path)[0], model_type=kind, vocab_size=r.choice([700, 1100]), hard_vocab_limit=False,
        character_coverage=r.choice([0.98, 0.99, 0.995]), byte_fallback=flag() and kind in ("unigram", "bpe"), add_dummy_prefix=flag(),
        remove_extra_whitespaces=flag(), split_digits=flag(), treat_whitespace_as_suffix=r.random() < 0.3, split_by_whitespace=flag(),
        split_by_unicode_script=flag(), allow_whitespace_only_pieces=flag(), minloglevel=3, num_threads=1, max_sentencepiece_length=r.choice([4, 16]),
        normalization_rule_name=r.choice(["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"]), user_defined_symbols=r.sample(SYMBOLS, r.choice([0, 0, 2, 5, 9])),
        control_symbols=r.sample(CONTROLS, r.choice([0, 1, 3])))
    sentencepiece.SentencePieceTrainer.train(**options)
    if r.random() < 0.3 and kind == "unigram":  # as SetVocabulary leaves them
        model = proto.ModelProto()
        model.ParseFromString(open(path, "rb").read())
        for piece in model.pieces:
            if piece.type == 1 and r.random() < 0.2:
                piece.type = UNUSED
        open(path, "wb").write(model.SerializeToString())
    return ", ".join(f"{k}={v!r}" for k, v in options.items() if k not in ("input", "model_prefix", "minloglevel", "num_threads"))


def compare(path, args, what):
    reference = sentencepiece.SentencePieceProcessor(model_file=path)
    texts = Texts(args.seed)
    texts.pieces = [reference.IdToPiece(i) for i in range(reference.GetPieceSize())]
    inputs = ["", " ", "  ", "▁", "▁▁"] + [texts() for _ in range(args.n)]
    with tempfile.TemporaryDirectory() as work:
        lines = os.path.join(work, "texts.jsonl")
        with open(lines, "w") as f:
            f.writelines(json.dumps(t) + "\n" for t in inputs)
        run = subprocess.run([args.gale, "tokenize", "-m", path, "--jsonl", lines, "--plain", "--no-special"], capture_output=True)
    if run.returncode != 0:
        print(f"{path}: gale: {run.stderr.decode().strip()}\n  {what}")
        return False
    got = [json.loads(line) for line in run.stdout.decode().split("\n")[:-1]]
    assert len(got) == len(inputs), (len(got), len(inputs))
    wrong = {"ids": [], "text": []}
    for text, line in zip(inputs, got):
        want = reference.EncodeAsIds(text)
        if line["ids"] != want:
            wrong["ids"].append((text, line["ids"], want))
            continue
        known = [i for i in want if not reference.IsUnknown(i)]
        # Of leading pieces that are a space each sentencepiece drops them all, Gale the first; only a U+2581 of a text's own makes such.
        if known == want and "▁" not in text and line["text"] != reference.DecodeIds(want):
            wrong["text"].append((text, line["text"], reference.DecodeIds(want)))
    for name, cases in wrong.items():
        for text, ours, theirs in sorted(cases, key=lambda c: len(c[0]))[: args.show]:
            print(f"{path}: {name} of {text!r}\n  gale          {ours!r}\n  sentencepiece {theirs!r}")
    differ = any(wrong.values())
    print(f"{path}: {len(inputs)} texts, " + ", ".join(f"{len(c)} differ in {w}" for w, c in wrong.items()) + (f"\n  {what}" if differ else ""))
    return not differ


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--random", type=int, default=0, metavar="COUNT", help="also this many models, trained here")
    parser.add_argument("--gale", default=os.path.join(os.path.dirname(__file__), "../build/release/gale"))
    parser.add_argument("-n", type=int, default=20000, help="strings for each model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=3, help="cases of each kind that are printed")
    parser.add_argument("--keep", metavar="FOLDER", help="where the trained models stay")
    args = parser.parse_args()
    right = [compare(m, args, m) for m in args.models]
    with contextlib.ExitStack() as stack:
        folder = args.keep or stack.enter_context(tempfile.TemporaryDirectory())
        for i in range(args.random):
            path = os.path.join(folder, f"{args.seed}-{i}.model")
            try:
                what = train(path, args.seed * 1000 + i)
            except (RuntimeError, OSError) as e:  # some options do not go together
                print(f"{path}: not trained: {str(e)[:200]}")
                continue
            right.append(compare(path, args, what))
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
