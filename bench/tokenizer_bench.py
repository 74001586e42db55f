#!/usr/bin/env python3
"""Gale's tokenizer beside the Python package `tokenizers`, one thread, the same files and texts in one run.

Usage: tokenizer_bench.py MODEL... [--gale BINARY] [--text FILE...]   MODEL: a folder with a tokenizer.json, or such a file.
Prints seconds to load (best of 5) and MB/s to encode (best of 3) of 10 MB English, 10 MB mixed scripts, and 1 MB without a space. Gale's
come from `gale tokenize --time`, so that neither side counts the start of a process."""
import argparse
import json
import os
import random
import subprocess
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer  # noqa: E402  the thread count is read on import

WORDS = ("the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you were all her "
         "she there would their we him been has when who will no more if out so up said what its about than into them can only other time new some "
         "could these two may first then do any like my now over such our man me even most made after also did many off before must well back "
         "through years where much your way down should because long each just state those people too mr how little good world make very year still "
         "see work life being under three never know last another while us might great old day").split()
BLOCKS = [(0x400, 0x44F), (0x4E00, 0x6FFF), (0x3041, 0x3096), (0xAC00, 0xBFFF), (0x905, 0x939), (0x621, 0x64A), (0xE01, 0xE2E), (0x61, 0x7A), (0x61, 0x7A)]


def english(size):
    r, out = random.Random(1), []
    while sum(map(len, out[-1:])) >= 0 and len(out) * 5 < size:
        out.append(r.choice(WORDS) if r.random() < 0.9 else r.choice(WORDS).capitalize() + r.choice([",", ".", "'s", " 1984", "\n"]))
    return " ".join(out)[:size]


def mixed(size):
    r, out, n = random.Random(2), [], 0
    while n < size:
        low, high = r.choice(BLOCKS)
        word = "".join(chr(r.randint(low, high)) for _ in range(r.randint(2, 9))) + r.choice([" ", " ", "、", ". ", "\n", "😀 "])
        out.append(word)
        n += len(word.encode())
    return "".join(out)


def best(n, f):
    times = []
    for _ in range(n):
        t = time.perf_counter()
        f()
        times.append(time.perf_counter() - t)
    return min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--gale", default=os.path.join(os.path.dirname(__file__), "../build/release/gale"))
    parser.add_argument("--mb", type=float, default=10, help="size of the two texts")
    args = parser.parse_args()
    size = int(args.mb * 1e6)
    texts = {"english": english(size), "mixed": mixed(size), "no space": "".join(random.Random(3).choices("abcdefgh", k=min(size, 1000000)))}
    with tempfile.TemporaryDirectory() as work:
        for name, text in texts.items():
            open(os.path.join(work, name), "w").write(text)
        for model in args.models:
            path = os.path.join(model, "tokenizer.json") if os.path.isdir(model) else model
            tokenizer = Tokenizer.from_file(path)
            theirs = {"load": best(5, lambda: Tokenizer.from_file(path))}
            ours = {}
            for name, text in texts.items():
                theirs[name] = best(3, lambda: tokenizer.encode(text, add_special_tokens=False))
                run = subprocess.run([args.gale, "tokenize", "-m", path, "--time", "--file", os.path.join(work, name)], capture_output=True, check=True)
                got = json.loads(run.stdout)
                ours[name], ours["load"] = got["encode_seconds"], min(got["load_seconds"], ours.get("load", 1e9))
            print(model)
            for name in theirs:
                rate = "" if name == "load" else f"   {len(texts[name].encode()) / 1e6 / ours[name]:8.1f} MB/s against {len(texts[name].encode()) / 1e6 / theirs[name]:6.1f}"
                print(f"  {name:9} gale {ours[name]:8.4f} s   tokenizers {theirs[name]:8.4f} s   {theirs[name] / ours[name]:6.1f} times as fast{rate}")


if __name__ == "__main__":
    main()
