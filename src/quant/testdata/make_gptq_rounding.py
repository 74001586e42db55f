#!/usr/bin/env python3
"""Writes gptq_rounding.txt: what GPTQ with act-order and groups that stay makes of weights_like(21, 16 x 256) for the inputs of
gptq_rounding_test.cpp, by numpy in double precision, which inverts and factors where ours does neither (Frantar et al., 2022,
algorithm 1). A line for each number of bits: bits, the codes.

    python3 make_gptq_rounding.py > gptq_rounding.txt
"""
import numpy as np

MASK = (1 << 64) - 1


class SplitMix64:
    def __init__(self, state):
        self.state = state

    def uniform(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return np.float32((z ^ (z >> 31)) >> 40) * np.float32(2.0**-24)


def weights_like(seed, n, deviation):
    rng = SplitMix64(seed)
    out = np.empty(n, np.float32)
    for i in range(n):
        total = np.float32(-6)
        for _ in range(12):
            total += rng.uniform()
        out[i] = total * np.float32(deviation)
    return out


def inputs(rows, columns):
    """Each column leans on the one before it, and some are ten times the others."""
    x = weights_like(22, rows * columns, 1).reshape(rows, columns)
    for i in range(1, columns):
        x[:, i] = x[:, i] + np.float32(0.9) * x[:, i - 1]
    x[:, ::37] *= np.float32(10)
    x[:, 100] = 0  # never seen
    return x


def scales(w, importance, bits):
    half = 1 << (bits - 1)
    weight = importance / importance.mean() + 1e-3
    best, out = np.full(len(w), np.inf), np.zeros(len(w))
    least = 0.95 if bits == 8 else 0.2 + 0.1 * bits
    for i in range(48):
        d = np.abs(w).max(axis=1) / np.float32(half - 1) * np.float32(1 - (1 - least) * (i // 2) / 23) * np.float32(1 - 2 * (i % 2))
        d = np.float32(np.float16(d))
        q = np.clip(np.rint(w / d[:, None]), -half, half - 1)
        error = (weight * (w - d[:, None] * q) ** 2).sum(axis=1)
        out, best = np.where(error < best, d, out), np.minimum(error, best)
    return out


def gptq(w, x, bits, group=128):
    half, n = 1 << (bits - 1), w.shape[1]
    h = x.astype(np.float64).T @ x
    diagonal = np.diag(h).copy()
    d = np.concatenate([scales(w[:, g : g + group], diagonal[g : g + group] / len(x), bits)[:, None] for g in range(0, n, group)], 1)
    dead = diagonal == 0
    h[dead, dead] = 1
    h[~dead, ~dead] += 0.01 * diagonal.mean()
    order = np.argsort(-diagonal, kind="stable")
    u = np.linalg.cholesky(np.linalg.inv(h[np.ix_(order, order)])).T
    left, codes = w[:, order].astype(np.float64), np.zeros(w.shape, int)
    for i, column in enumerate(order):
        scale = d[:, column // group]
        codes[:, column] = np.clip(np.rint(left[:, i] / scale), -half, half - 1)
        error = (left[:, i] - scale * codes[:, column]) / u[i, i]
        left[:, i:] -= error[:, None] * u[None, i, i:]
    return (codes + half).astype(np.uint8)


def main():
    w, x = weights_like(21, 16 * 256, 0.02).reshape(16, 256), inputs(512, 256)
    for bits in (2, 3, 4, 8):
        print(bits, gptq(w, x, bits).tobytes().hex())


if __name__ == "__main__":
    main()
