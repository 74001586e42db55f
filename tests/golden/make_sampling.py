#!/usr/bin/env python3
"""Known answers for every sampling stage, worked out in numpy from the published definitions: data/sampling.json.

    make_sampling.py [--seed 1]

Where transformers has a logits processor of the same name, each of its answers is compared with numpy's before anything is written.
`logits` are the rows that cases share; a case names a `stage`, its `args`, a row, the `prompt` and `generated` tokens, and has the
`tokens` that are left with their `values` (logits; -1e30 stands for -infinity). `large` cases make their row from SplitMix64 and have
only the number of tokens kept and the sum of their ids. `chains` are whole requests, `mirostat` runs of several tokens, `dry` texts
over a small vocabulary.

Definitions: top-k Fan et al. 2018; top-p Holtzman et al. 2020; min-p Nguyen et al. 2024; locally typical sampling Meister et al. 2023;
epsilon and eta cutoff Hewitt et al. 2022; tail-free Phenix and Egan 2019; top-a Bo Peng (RWKV-LM); top-nsigma Tang et al. 2024;
XTC and DRY p-e-w (text-generation-webui 6335, 5637), DRY's sequence breakers KoboldCpp 982; mirostat Basu et al. 2021; repetition
penalty Keskar et al. 2019; dynamic temperature KoboldCpp. Draws are Philox 4x32-10 (Salmon et al. 2011).
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parent / "data" / "sampling.json"
NEVER = -1e30


# --- random numbers ---------------------------------------------------------------------------------------------------------------
def philox_uniform(seed: int, choice: int, position: int, stage: int) -> float:
    key = [seed & 0xFFFFFFFF, seed >> 32]
    c = [position & 0xFFFFFFFF, position >> 32, choice, stage]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ key[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ key[1], p0 & 0xFFFFFFFF]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return ((c[0] << 32 | c[1]) >> 11) * 2.0**-53


def split_mix(seed: int, n: int) -> np.ndarray:
    """Uniforms in [0, 1) of 24 bits, as SplitMix64::uniform gives them."""
    mask, out, state = (1 << 64) - 1, [], seed
    for _ in range(n):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        out.append((z ^ (z >> 31)) >> 40)
    return np.array(out, np.float32) * np.float32(2.0**-24)


# --- the stages: (ids, logits f64) -> (ids, logits) -------------------------------------------------------------------------------
def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def entropy(p):
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())


def descending(keys):
    """Indices, largest key first, ties by index."""
    return np.lexsort((np.arange(len(keys)), -keys))


def kept(ids, x, keep):
    keep = np.sort(np.asarray(keep))
    return ids[keep], x[keep]


def reach(ids, x, keys, p):
    order = descending(keys)
    n = int((np.cumsum(softmax(x)[order]) < p).sum()) + 1
    return kept(ids, x, order[:n])


def at_least(ids, x, lowest):
    p = softmax(x)
    return kept(ids, x, np.flatnonzero((p >= lowest) | (np.arange(len(p)) == p.argmax())))


def tail_free(ids, x, z):
    if len(x) < 3:
        return ids, x
    order = descending(x)
    bend = np.abs(np.diff(softmax(x)[order], 2))
    removed = np.concatenate([[False], np.cumsum(bend / bend.sum()) > z, [True]])
    return kept(ids, x, order[~removed])


def typical(ids, x, p):
    probs = softmax(x)
    with np.errstate(divide="ignore"):
        return reach(ids, x, -np.abs(-np.log(probs) - entropy(probs)), p)


def dynamic_temperature(ids, x, t, r, exponent):
    share = entropy(softmax(x)) / math.log(len(x))
    t = max(t - r, 0) + (t + r - max(t - r, 0)) * share**exponent
    return ids, (x - x.max()) / t


def xtc(ids, x, probability, threshold, state):
    if philox_uniform(state["seed"], 0, state["position"], 1) >= probability:
        return ids, x
    p = softmax(x)
    order = descending(x)
    tops = [i for i in order if p[i] >= threshold]
    return kept(ids, x, [i for i in range(len(x)) if i not in tops[:-1]])


def repetition_penalty(ids, x, penalty, last_n, state):
    seen = set(window(state["prompt"] + state["generated"], last_n))
    return ids, np.array([(v / penalty if v > 0 else v * penalty) if i in seen else v for i, v in zip(ids, x)])


def count_penalties(ids, x, frequency, presence, last_n, state):
    text = window(state["generated"], last_n)
    return ids, np.array([v - text.count(i) * frequency - (i in text) * presence for i, v in zip(ids, x)])


def no_repeat_ngram(ids, x, n, state):
    text = state["prompt"] + state["generated"]
    if len(text) < n:
        return ids, x
    grams = {tuple(text[i:i + n]) for i in range(len(text) - n + 1)}
    end = tuple(text[len(text) - n + 1:])
    return ids, np.array([-np.inf if end + (i,) in grams else v for i, v in zip(ids.tolist(), x)])


def window(text, n):
    return text if n < 0 else text[len(text) - min(n, len(text)):]


STAGES = {
    "temperature": lambda i, x, s, t: (i, (x - x.max()) / t),
    "dynamic_temperature": lambda i, x, s, t, r, e: dynamic_temperature(i, x, t, r, e),
    "top_k": lambda i, x, s, k: kept(i, x, descending(x)[:k]),
    "top_p": lambda i, x, s, p: reach(i, x, x, p),
    "min_p": lambda i, x, s, p: at_least(i, x, p * softmax(x).max()),
    "typical_p": lambda i, x, s, p: typical(i, x, p),
    "top_a": lambda i, x, s, a: at_least(i, x, a * softmax(x).max() ** 2),
    "tail_free": lambda i, x, s, z: tail_free(i, x, z),
    "top_n_sigma": lambda i, x, s, n: kept(i, x, np.flatnonzero(x >= x.max() - n * x[np.isfinite(x)].std())),
    "epsilon_cutoff": lambda i, x, s, e: at_least(i, x, e),
    "eta_cutoff": lambda i, x, s, e: at_least(i, x, min(e, math.sqrt(e) * math.exp(-entropy(softmax(x))))),
    "xtc": lambda i, x, s, p, t: xtc(i, x, p, t, s),
    "repetition_penalty": lambda i, x, s, p, n: repetition_penalty(i, x, p, n, s),
    "count_penalties": lambda i, x, s, f, p, n: count_penalties(i, x, f, p, n, s),
    "no_repeat_ngram": lambda i, x, s, n: no_repeat_ngram(i, x, n, s),
}


# --- transformers' word on the same -----------------------------------------------------------------------------------------------
def transformers_says(stage, x, args, state):
    """Scores after the processor of that name, or None where there is none that is the same."""
    import torch
    from transformers.generation import logits_process as hf

    makers = {
        "temperature": lambda t: hf.TemperatureLogitsWarper(t),
        "top_k": lambda k: hf.TopKLogitsWarper(k),
        "top_p": lambda p: hf.TopPLogitsWarper(p),
        "min_p": lambda p: hf.MinPLogitsWarper(p),
        "typical_p": lambda p: hf.TypicalLogitsWarper(p),
        "epsilon_cutoff": lambda e: hf.EpsilonLogitsWarper(e),
        "eta_cutoff": lambda e: hf.EtaLogitsWarper(e),
        "repetition_penalty": lambda p, n: hf.RepetitionPenaltyLogitsProcessor(p) if n < 0 else None,
        "no_repeat_ngram": lambda n: hf.NoRepeatNGramLogitsProcessor(n),
    }
    processor = makers.get(stage, lambda *_: None)(*args)
    if processor is None:
        return None
    text = state["prompt"] + state["generated"]
    return processor(torch.tensor([text], dtype=torch.long), torch.from_numpy(x)[None])[0].numpy()


def compare(stage, x, args, state, ids, values):
    said = transformers_says(stage, x, args, state)
    if said is None:
        return False
    ours = np.full(len(x), -np.inf)
    ours[ids] = values
    if stage == "temperature":
        said = said - said.max()
    assert np.array_equal(np.isfinite(ours), np.isfinite(said)), (stage, args)
    assert np.allclose(ours[np.isfinite(ours)], said[np.isfinite(said)]), (stage, args)
    return True


# --- cases ------------------------------------------------------------------------------------------------------------------------
def draw(ids, x, state):
    """The token at a point of the weights laid side by side in order of id, and how near the point is to an end of it."""
    cumulative = np.cumsum(softmax(x))
    u = philox_uniform(state["seed"], 0, state["position"], 0) * cumulative[-1]
    i = int(np.searchsorted(cumulative, u, side="right"))
    return int(ids[i]), float(np.abs(cumulative - u).min())


def numbers(x):
    return [NEVER if not np.isfinite(v) else float(f"{v:.7g}") for v in x]


ARGS = {
    "temperature": [[0.25], [0.7], [1.9]],
    "dynamic_temperature": [[1.0, 0.5, 1.0], [0.8, 0.8, 2.5], [1.5, 1.0, 0.5]],
    "top_k": [[1], [5], [17], [47]],
    "top_p": [[0.1], [0.5], [0.9], [0.999]],
    "min_p": [[0.01], [0.1], [0.7]],
    "typical_p": [[0.1], [0.5], [0.9], [0.99]],
    "top_a": [[0.01], [0.2], [1.0]],
    "tail_free": [[0.3], [0.9], [0.99]],
    "top_n_sigma": [[0.3], [1.0], [2.5]],
    "epsilon_cutoff": [[0.0003], [0.01], [0.2]],
    "eta_cutoff": [[0.0003], [0.01], [0.2]],
    "xtc": [[1.0, 0.05], [0.5, 0.1], [1.0, 0.5], [1.0, 0.01]],
    "repetition_penalty": [[1.3, -1], [0.8, -1], [1.5, 6]],
    "count_penalties": [[0.7, 0.3, -1], [-0.5, 0.0, -1], [0.4, 1.1, 5]],
    "no_repeat_ngram": [[1], [2], [3]],
}


def make_cases(rng, rows):
    cases, agreed = [], 0
    for stage, sets in ARGS.items():
        for row in range(len(rows)):
            for args in sets:
                text = rng.integers(0, 9 if stage == "no_repeat_ngram" else 48, 30).tolist()
                state = {"seed": int(rng.integers(0, 2**63)), "position": 30, "prompt": text[:18], "generated": text[18:]}
                x = rows[row].astype(np.float64)
                ids, values = STAGES[stage](np.arange(len(x)), x, state, *args)
                agreed += compare(stage, x, args, state, ids, values)
                cases.append({"stage": stage, "args": args, "row": row, **state, "tokens": ids.tolist()})
                if not np.array_equal(values, x[ids]):
                    cases[-1]["values"] = numbers(values)
    print(f"{len(cases)} cases, {agreed} of them compared with transformers")
    return cases


LARGE = {"top_k": [[40], [3000]], "top_p": [[0.02], [0.6], [0.97]], "min_p": [[0.05]], "typical_p": [[0.3], [0.95]], "top_a": [[0.5]],
         "tail_free": [[0.9]], "top_n_sigma": [[1.5]], "epsilon_cutoff": [[0.0001]], "eta_cutoff": [[0.0001]]}


def large_row(seed, n, power, scale):
    return (split_mix(seed, n) ** power * np.float32(scale)).astype(np.float32)


def make_large():
    out = []
    for stage, sets in LARGE.items():
        for args in sets:
            for seed, power, scale in ((5, 1, 1), (6, 4, 12), (7, 16, 16)):
                x = large_row(seed, 20000, power, scale).astype(np.float64)
                ids, values = STAGES[stage](np.arange(len(x)), x, {}, *args)
                compare(stage, x, args, {"prompt": [0], "generated": []}, ids, values)
                out.append({"stage": stage, "args": args, "seed": seed, "power": power, "scale": scale, "size": len(x), "kept": len(ids),
                            "id_sum": int(ids.sum())})
    return out


def make_chains(rng, rows):
    """Random parameters in random orders, down to the token drawn."""
    names = [s for s in ARGS if s != "dynamic_temperature"]
    out = []
    while len(out) < 60:
        order = rng.permutation(names).tolist()
        on = [s for s in order if rng.random() < 0.35]
        row, params = int(rng.integers(len(rows))), {s: ARGS[s][int(rng.integers(len(ARGS[s])))] for s in on}
        text = rng.integers(0, 48, 20).tolist()
        if len({params[s][-1] for s in ("repetition_penalty", "count_penalties") if s in params}) > 1:
            continue  # they share one window
        state = {"seed": int(rng.integers(0, 2**63)), "position": 20, "prompt": text[:12], "generated": text[12:]}
        ids, x = np.arange(48), rows[row].astype(np.float64)
        for stage in on:
            if np.isfinite(x).any():
                ids, x = STAGES[stage](ids, x, state, *params[stage])
        token, gap = draw(ids, x, state) if np.isfinite(x).any() else (0, 0.0)
        if gap > 1e-4:
            out.append({"order": order, "params": params, "row": row, **state, "token": token})
    return out


def mirostat_step(version, x, mu, tau, eta, state):
    ids, p = np.arange(len(x)), softmax(x)
    if version == 1:
        q = p[descending(x)][:100]
        t, b = np.log(np.arange(2, len(q) + 1) / np.arange(1, len(q))), np.log(q[:-1] / q[1:])
        s = float((t * b).sum() / (t * t).sum())
        k = round((((s - 1) * 2**mu) / (1 - len(x) ** (1 - s))) ** (1 / s)) + 1
        left = kept(ids, x, descending(x)[:k])
    else:
        left = kept(ids, x, np.flatnonzero((-np.log2(p) <= mu) | (ids == p.argmax())))
    token, gap = draw(*left, state)
    of = p[token] if version == 1 else softmax(left[1])[list(left[0]).index(token)]
    return token, gap, mu - eta * (-math.log2(of) - tau)


def make_mirostat(rng, rows):
    out = []
    for version in (1, 2):
        for tau, eta in ((2.0, 0.1), (3.0, 0.5), (1.0, 1.0)):
            while True:
                seed, mu, order, tokens, gaps = int(rng.integers(0, 2**63)), 2 * tau, [], [], []
                for i in range(12):
                    order.append(int(rng.integers(len(rows))))
                    token, gap, mu = mirostat_step(version, rows[order[-1]].astype(np.float64), mu, tau, eta,
                                                   {"seed": seed, "position": 3 + i})
                    tokens.append(token)
                    gaps.append(gap)
                if min(gaps) > 1e-4:
                    break
            out.append({"version": version, "tau": tau, "eta": eta, "seed": seed, "prompt": [1, 2, 3], "rows": order, "tokens": tokens})
    return out


# --- DRY --------------------------------------------------------------------------------------------------------------------------
PIECES = ["a", "b", "c", "ab", "bc", "ca", "abc", "\n", "a\n", "\n\n", "\nb", ":", ": ", "a:", " ", " a", "::", "b c", "x", "y"]


def since_breaker(text, breakers):
    """Tokens after the breaker that begins last, however it is cut into tokens; the longest of those that begin in one token."""
    for first in range(len(text) - 1, -1, -1):
        ends = []
        joined = "".join(PIECES[t] for t in text[first:])
        for breaker in breakers:
            for offset in range(len(PIECES[text[first]])):
                if joined.startswith(breaker, offset):
                    length, last = 0, first
                    while length + len(PIECES[text[last]]) < offset + len(breaker):
                        length += len(PIECES[text[last]])
                        last += 1
                    ends.append(last)
        if ends:
            return len(text) - 1 - max(ends)
    return len(text)


def dry(x, text, breakers, multiplier, base, allowed, last_n):
    text, x = window(text, last_n), x.copy()
    limit = since_breaker(text, breakers)
    if len(text) <= allowed or limit < allowed:
        return x
    longest = {}
    for end in range(1, len(text)):  # text[:end] stood before text[end]
        n = 0
        while n < end and n < limit and text[end - 1 - n] == text[len(text) - 1 - n]:
            n += 1
        if n >= allowed:
            longest[text[end]] = max(longest.get(text[end], 0), n)
    for token, n in longest.items():
        if not any(b in PIECES[token] for b in breakers):
            x[token] -= multiplier * base ** (n - allowed)
    return x


def make_dry(rng):
    out, penalized, cut = [], 0, 0
    sets = ([], ["\n", ":"], ["\n", ":"], ["\n\n"], ["a\nb", ": a"], ["a\nb", ": a"], ["abc", "b", "\n", "c::"], ["ca", "::"])
    while len(out) < 90:
        breakers = sets[len(out) % len(sets)]
        unit = rng.integers(0, len(PIECES), int(rng.integers(2, 8))).tolist()
        text = (unit * 6)[:int(rng.integers(1, 34))]
        for _ in range(int(rng.integers(0, 3))):
            text[int(rng.integers(len(text)))] = int(rng.integers(len(PIECES)))
        args = [float(rng.choice([0.8, 1.5])), float(rng.choice([1.0, 1.75, 3.0])), int(rng.integers(1, 5)), int(rng.choice([-1, -1, 8, 20, 0]))]
        x = np.round(rng.normal(0, 2, len(PIECES)), 3).astype(np.float32).astype(np.float64)
        y = dry(x, text, breakers, *args)
        repeats, changed = not np.array_equal(x, dry(x, text, [], *args)), not np.array_equal(x, y)
        decides = not np.array_equal(y, dry(x, text, [], *args))
        if breakers and len(out) % 2 != decides:
            continue
        if repeats or rng.random() < 0.3:
            penalized, cut = penalized + changed, cut + decides
            half = int(rng.integers(0, len(text)))
            out.append({"breakers": breakers, "args": args, "logits": numbers(x), "prompt": text[:half], "generated": text[half:], "values": numbers(y)})
    print(f"{len(out)} DRY texts, {penalized} with a penalty, {cut} where breakers change it")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    rng = np.random.default_rng(parser.parse_args().seed)
    rows = [np.round(rng.normal(0, scale, 48), 4).astype(np.float32) for scale in (0.3, 1.5, 3.0)]
    rows.append(np.round(-3.0 * np.log(rng.permutation(48) + 1.0), 4).astype(np.float32))  # Zipf
    data = {"logits": [numbers(r) for r in rows], "cases": make_cases(rng, rows), "large": make_large(), "chains": make_chains(rng, rows),
            "mirostat": make_mirostat(rng, rows), "pieces": PIECES, "dry": make_dry(rng)}
    text = ",\n".join(f'"{k}": [\n' + ",\n".join(json.dumps(v) for v in values) + "\n]" for k, values in data.items())
    OUT.write_text("{\n" + text + "\n}\n")
    print(f"{OUT}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
