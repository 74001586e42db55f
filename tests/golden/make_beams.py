#!/usr/bin/env python3
"""What transformers' beam search finds, in data/beams.json: cases over the checkpoints of data/.

    make_beams.py [--seed 1]

A case has the prompt `ids`, `beams`, `length_penalty`, `early_stopping` (false, true or "never"), `end` tokens, `max_tokens`, and `texts`,
the best first, with their `score`; the token that ended a text is its last. Kept are cases whose texts are the same in f32 and f64.
"""

import argparse
import json
import random
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

DATA = Path(__file__).resolve().parent / "data"


@torch.no_grad()
def search(model, case: dict) -> list[dict]:
    end = case["end"] or None
    out = model.generate(
        torch.tensor([case["ids"]]), do_sample=False, num_beams=case["beams"], num_return_sequences=case["beams"],
        max_new_tokens=case["max_tokens"], length_penalty=case["length_penalty"], early_stopping=case["early_stopping"],
        eos_token_id=end, pad_token_id=0, return_dict_in_generate=True, output_scores=True)
    texts = []
    for ids, score in zip(out.sequences, out.sequences_scores):
        ids = ids[len(case["ids"]):].tolist()
        ends = [i for i, t in enumerate(ids) if t in case["end"]]
        texts.append({"ids": ids[: ends[0] + 1] if ends else ids, "score": float(score)})
    return texts


def draw(rng: random.Random, vocab: int) -> dict:
    return {
        "ids": [rng.randrange(3, vocab) for _ in range(rng.choice([1, 3, 9, 20, 70]))],
        "beams": rng.choice([2, 3, 4, 8]),
        "length_penalty": rng.choice([1.0, 1.0, 0.0, 2.0, -1.0]),
        "early_stopping": rng.choice([False, True, "never"]),
        "end": sorted(rng.sample(range(vocab), rng.choice([0, 1, 3, 20, 40]))),
        "max_tokens": rng.choice([1, 2, 6, 12, 24]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    rng = random.Random(parser.parse_args().seed)
    cases = []
    for name in ("llama3", "mistral", "qwen2"):
        load = lambda dtype: AutoModelForCausalLM.from_pretrained(DATA / name, dtype=dtype, attn_implementation="eager").eval()
        single, double = load(torch.float32), load(torch.float64)
        kept = 0
        while kept < 12:
            case = draw(rng, single.config.vocab_size)
            texts, exact = search(single, case), search(double, case)
            gaps = [a["score"] - b["score"] for a, b in zip(exact, exact[1:])]
            if [t["ids"] for t in texts] != [t["ids"] for t in exact] or min(gaps) < 1e-4 or min(len(t["ids"]) for t in texts) == 0:
                continue
            cases.append({"model": name, **case, "texts": texts})
            kept += 1
    (DATA / "beams.json").write_text(json.dumps(cases, separators=(",", ":")).replace('{"model"', '\n{"model"') + "\n")
    ended = sum(t["ids"][-1] in c["end"] for c in cases for t in c["texts"])
    print(f"{len(cases)} cases, {sum(len(c['texts']) for c in cases)} texts, {ended} of them ended by a token")


if __name__ == "__main__":
    main()
