#!/usr/bin/env python3
"""Compares Gale's tokenizer with the Python package `tokenizers` on random and adversarial strings.

Usage: tokenizer_diff.py MODEL... [--gale BINARY] [-n 100000] [--seed 1] [--plain] [--no-offsets]
       tokenizer_diff.py --random 200 -n 300
MODEL is a folder with a tokenizer.json, or such a file; --random makes as many tokenizers of parts thrown together. Compares ids, offsets and decoded text, and what random ids decode to; exits 1 where anything differs and
prints the shortest cases. Bytes that are not UTF-8 count as Python's errors='replace' reads them."""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SCRIPTS = [
    (0x20, 0x7E), (0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x5FF), (0x600, 0x6FF),
    (0x900, 0x97F), (0x980, 0x9FF), (0xB80, 0xBFF), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x1E00, 0x1EFF), (0x2000, 0x206F),
    (0x20A0, 0x20CF), (0x2100, 0x214F), (0x2150, 0x218F), (0x2200, 0x22FF), (0x3000, 0x303F), (0x3040, 0x30FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFE2F), (0xFF00, 0xFFEF), (0x1D400, 0x1D7FF),
    (0x1F1E6, 0x1F1FF), (0x1F300, 0x1F6FF), (0x1F900, 0x1FAFF), (0x20000, 0x2A6DF), (0x0, 0x1F), (0x300, 0x36F), (0xE000, 0xE0FF),
]
WORDS = ("the and of Hello world don't I'LL we've it's 3.14 1234567 https://example.com/a?b=c foo_bar camelCase ALLCAPS naïve "
         "Straße café e\u0301 日本語 中文 한국어 Привет שלום مرحبا नमस्ते สวัสดี ﬁ ½ ² Ⅷ ı İ ſ ß").split()
SPACES = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n ", "\u00a0", "\u3000", "\u2028", "\u200b", "\u200d", "\ufeff", "\x0b", "\x85"]
EMOJI = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "👍🏽", "❤️", "1️⃣", "🫠", "\u200d", "\ufe0f"]


class Strings:
    def __init__(self, tokenizer, seed):
        self.random = random.Random(seed)
        self.added = [t.content for t in tokenizer.get_added_tokens_decoder().values()]
        self.vocab = list(tokenizer.get_vocab(with_added_tokens=False))

    def code_point(self):
        while True:
            c = self.random.randrange(0x110000)
            if not 0xD800 <= c < 0xE000:
                return chr(c)

    def script(self):
        low, high = self.random.choice(SCRIPTS)
        return "".join(chr(self.random.randint(low, high)) for _ in range(self.random.randint(1, 8)))

    def part(self):
        r, kind = self.random, self.random.randrange(12)
        if kind < 3:
            return r.choice(WORDS) + r.choice(["", " ", " ", "."])
        if kind < 5:
            return self.script()
        if kind == 5:
            return "".join(self.code_point() for _ in range(r.randint(1, 4)))
        if kind == 6:
            return r.choice(SPACES)
        if kind == 7:
            return r.choice(EMOJI) * r.choice([1, 1, 3])
        if kind == 8:
            return r.choice([self.script()[0], r.choice(WORDS), r.choice(SPACES), "a", "1", "!", "\u0301", "ก"]) * r.randint(2, 60)
        if kind == 9:
            return r.choice(self.vocab)
        if kind == 10 and self.added:
            token = r.choice(self.added)
            return token if r.random() < 0.7 else token[: r.randint(0, len(token))]
        return "".join(chr(r.randint(33, 126)) for _ in range(r.randint(1, 12)))

    def text(self):
        """A string, or bytes that are not UTF-8."""
        n = self.random.choice([1, 1, 2, 3, 5, 8, 20])
        out = "".join(self.part() for _ in range(n))
        if self.random.random() < 0.04:
            raw = bytearray(out.encode())
            for _ in range(self.random.randint(1, 4)):
                raw.insert(self.random.randrange(len(raw) + 1), self.random.randrange(256))
            return bytes(raw)
        return out


class Pipelines:
    """Tokenizers of random parts, trained on random words."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.strings = Strings(Tokenizer(models.BPE({"a": 0}, [])), seed)

    def some(self, makers, most):
        return [self.random.choice(makers)() for _ in range(self.random.randint(0, most))]

    def flag(self):
        return self.random.random() < 0.5

    def normalizer(self):
        n, f = normalizers, self.flag
        return self.some([n.NFC, n.NFD, n.NFKC, n.NFKD, n.Lowercase, n.StripAccents, n.Nmt, n.ByteLevel, lambda: n.Strip(f(), f()), lambda: n.Prepend("▁"),
                          lambda: n.Replace(" ", "▁"), lambda: n.Replace("", "_"), lambda: n.Replace(Regex(r"\s+|[[:punct:]]{2,}"), " "), lambda: n.Replace(Regex("[aeiou](?=n)"), ""),
                          lambda: n.BertNormalizer(f(), f(), f(), f())], 3)

    def pre_tokenizer(self):
        p, f, c = pre_tokenizers, self.flag, self.random.choice
        behavior = lambda: c(["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"])
        patterns = [r"\w+|[^\w\s]+", r"\s+", r"\p{L}+", r"[[:digit:]]{1,3}", r"\S+?(?=\s|$)", r"(?i:'s|'t|'re)|\p{Han}", r"[^[:alnum:]]", r"▁", r"^.|\b"]
        return self.some([lambda: p.ByteLevel(f(), use_regex=f()), lambda: p.Split(Regex(c(patterns)), behavior(), f()), lambda: p.Split(c(["e", " ", "▁", ""]), behavior()),
                          lambda: p.Digits(f()), lambda: p.Punctuation(behavior()), p.Whitespace, p.WhitespaceSplit, p.BertPreTokenizer, p.UnicodeScripts,
                          lambda: p.CharDelimiterSplit(c("- e")), lambda: p.FixedLength(c([1, 2, 5])),
                          lambda: p.Metaspace(c("▁▁_"), c(["always", "first", "never"]), f())], 3)

    def decoder(self):
        d, f = decoders, self.flag
        return self.some([d.ByteLevel, d.ByteFallback, d.Fuse, lambda: d.Replace("▁", " "), lambda: d.Replace(Regex("[aeiou]+"), "*"), lambda: d.WordPiece(cleanup=f()),
                          lambda: d.Metaspace(prepend_scheme=self.random.choice(["always", "first", "never"])), lambda: d.BPEDecoder("e"), lambda: d.CTC("e", "|", f())], 3)

    def model(self):
        f, kind = self.flag, self.random.randrange(4)
        special = ["<unk>"]
        if kind == 0:
            affix = {"continuing_subword_prefix": "##"} if self.random.random() < 0.2 else {}
            suffix = {"end_of_word_suffix": "</w>"} if self.random.random() < 0.2 else {}
            unk, fallback = f(), f() and not affix and not suffix  # the reference's offsets go beyond the text then
            if fallback:
                special += [f"<0x{b:02X}>" for b in range(256) if b % 16 or self.random.random() < 0.5]
            return (models.BPE(unk_token="<unk>" if unk else None, fuse_unk=f(), byte_fallback=fallback, ignore_merges=f(), **affix, **suffix),
                    trainers.BpeTrainer(vocab_size=400 + len(special), special_tokens=special, show_progress=False, limit_alphabet=self.random.choice([60, 300]), **affix, **suffix))
        if kind == 1:
            return models.Unigram(), trainers.UnigramTrainer(vocab_size=300, unk_token="<unk>", special_tokens=special, show_progress=False)
        if kind == 2:
            return (models.WordPiece(unk_token="<unk>", max_input_chars_per_word=self.random.choice([5, 100])),
                    trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False))
        return models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(vocab_size=300, special_tokens=special, show_progress=False)

    def make(self):
        model, trainer = self.model()
        t = Tokenizer(model)
        if parts := self.normalizer():
            t.normalizer = normalizers.Sequence(parts)
        if parts := self.pre_tokenizer():
            t.pre_tokenizer = pre_tokenizers.Sequence(parts)
        t.decoder = decoders.Sequence(self.decoder() or [decoders.Fuse()])
        t.train_from_iterator([x for x in (self.strings.text() for _ in range(300)) if isinstance(x, str)], trainer)
        f = self.flag
        for content in self.random.sample(["<s>", "<mask>", "▁the", "of", "é", "Hello", " x", "##a"], self.random.randint(0, 4)):
            special = f()
            # With ignore_merges the reference makes a special token of text that is spelled like one even where it is not to be found.
            hidden = special and t.token_to_id(content) is not None and getattr(model, "ignore_merges", False)
            token = AddedToken(content, single_word=f() and not hidden, lstrip=f(), rstrip=f(), normalized=f() and self.random.random() < (0.3 if special else 1))
            t.add_special_tokens([token]) if special else t.add_tokens([token])
        if f():
            unk = t.token_to_id("<unk>") or 0
            t.post_processor = self.random.choice([
                processors.ByteLevel(trim_offsets=f()), processors.RobertaProcessing(("<unk>", unk), ("<unk>", unk), trim_offsets=f(), add_prefix_space=f()),
                processors.BertProcessing(("<unk>", unk), ("<unk>", unk)), processors.TemplateProcessing(single="<unk> $A:1", special_tokens=[("<unk>", unk)])])
        return t


def random_files(count, seed, folder):
    made = Pipelines(seed)
    for i in range(count):
        path = os.path.join(folder, f"{i}.json")
        try:
            made.make().save(path)
        except BaseException as e:  # some parts do not go together, and panic
            if isinstance(e, KeyboardInterrupt):
                raise
            continue
        yield path


def ends(raw):
    """Byte offset in `raw` -> character offset in the text Python reads it as."""
    text, at, out = raw.decode(errors="replace"), 0, {0: 0}
    if text.encode() == raw:
        for i, c in enumerate(text):
            at += len(c.encode())
            out[at] = i + 1
        return out
    return None


def decode_cases(path, reference, strings, args):
    """Lists of random ids, added tokens more often than others, with and without special tokens."""
    r = strings.random
    added, every = list(reference.get_added_tokens_decoder()) or [0], list(reference.get_vocab().values())
    lists = [[r.choice(added if r.random() < 0.25 else every) for _ in range(r.choice([0, 1, 1, 2, 3, 5, 8, 20]))] for _ in range(args.n // 3)]
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.writelines(json.dumps(ids) + "\n" for ids in lists)
        f.flush()
        run = subprocess.run([args.gale, "tokenize", "-m", path, "--decode", "--jsonl", f.name], capture_output=True)
    if run.returncode != 0:
        return [("", run.stderr.decode(), "")]
    wrong = []
    for ids, line in zip(lists, run.stdout.decode().split("\n")):
        try:
            want = {"text": reference.decode(ids), "with_special": reference.decode(ids, skip_special_tokens=False)}
        except BaseException as e:  # the reference can panic
            if isinstance(e, KeyboardInterrupt):
                raise
            continue
        if json.loads(line) != want:
            wrong.append((ids, json.loads(line), want))
    return wrong


def compare(folder, args):
    path = os.path.join(folder, "tokenizer.json") if os.path.isdir(folder) else folder
    reference = Tokenizer.from_file(path)
    reference.no_truncation()
    reference.no_padding()
    if args.plain:
        reference.encode_special_tokens = True
    strings = Strings(reference, args.seed)
    texts = ([chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000] if args.all else
             ["", " ", "  "] + [strings.text() for _ in range(args.n)])
    with tempfile.TemporaryDirectory() as work:
        lines = os.path.join(work, "texts.jsonl")
        with open(lines, "w") as f:
            for t in texts:
                f.write(json.dumps(t if isinstance(t, str) else list(t)) + "\n")
        command = [args.gale, "tokenize", "-m", path, "--jsonl", lines] + (["--plain"] if args.plain else [])
        run = subprocess.run(command, capture_output=True)
    if run.returncode != 0:
        print(f"{folder}: gale: {run.stderr.decode().strip()}")
        return False
    got = run.stdout.decode().split("\n")[:-1]
    assert len(got) == len(texts), (len(got), len(texts))
    wrong = {"ids": [], "offsets": [], "text": [], "decode": decode_cases(path, reference, strings, args)}
    for text, line in zip(texts, got):
        line = json.loads(line)
        raw = text.encode() if isinstance(text, str) else text
        try:
            want = reference.encode(raw.decode(errors="replace"))
            decoded = reference.decode(want.ids)
        except BaseException as e:  # the reference can panic
            if isinstance(e, KeyboardInterrupt):
                raise
            continue
        if line["ids"] != want.ids:
            wrong["ids"].append((text, line["ids"], want.ids))
            continue
        if line["text"] != decoded:
            wrong["text"].append((text, line["text"], decoded))
        where = ends(raw) if args.offsets else None
        if where is not None:
            offsets = [(where.get(a), where.get(b)) for a, b in line["offsets"]]
            if offsets != want.offsets:
                wrong["offsets"].append((text, offsets, want.offsets))
    for what, cases in wrong.items():
        for text, ours, theirs in sorted(cases, key=lambda c: len(c[0]))[: args.show]:
            print(f"{folder}: {what} of {text!r}\n  gale       {ours!r}\n  tokenizers {theirs!r}")
    print(f"{folder}: {len(texts)} texts, " + ", ".join(f"{len(c)} differ in {w}" for w, c in wrong.items()))
    return not any(wrong.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--random", type=int, default=0, metavar="COUNT", help="also this many tokenizers of random parts")
    parser.add_argument("--gale", default=os.path.join(os.path.dirname(__file__), "../build/release/gale"))
    parser.add_argument("-n", type=int, default=100000, help="strings for each model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=3, help="cases of each kind that are printed")
    parser.add_argument("--plain", action="store_true", help="special tokens in the text are text")
    parser.add_argument("--all", action="store_true", help="every code point alone instead of random strings")
    parser.add_argument("--no-offsets", dest="offsets", action="store_false")
    args = parser.parse_args()
    right = [compare(m, args) for m in args.models]
    with tempfile.TemporaryDirectory() as work:
        right += [compare(path, args) for path in random_files(args.random, args.seed, work)]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
