#!/usr/bin/env python3
"""Writes gptq_form.txt: GPTQ weights that no config describes, in both forms of their zeros (pip install numpy).

Normal weights under scales and zeros as GPTQ's own Quantizer.find_params has them (auto_gptq/quantization/quantizer.py), rounded to nearest.

<name> <bits> <in> <out> <groups> <what the zeros lack: 1 in "gptq", 0 in "gptq_v2"> <qweight> <qzeros> <scales, f16>    (hex)

    python3 make_gptq_form.py > gptq_form.txt
"""
import numpy as np


def pack(codes, axis, bits):
    """The first along `axis` in the lowest bits of a word."""
    codes = np.moveaxis(codes, axis, -1).astype(np.int64)
    stream = (codes[..., None] >> np.arange(bits) & 1).reshape(*codes.shape[:-1], -1, 32)
    words = (stream << np.arange(32)).sum(-1).astype("<u4")
    return np.ascontiguousarray(np.moveaxis(words, -1, axis)).tobytes().hex()


def find_params(x, bits, sym):
    """Of each output, x [columns, outputs]."""
    top = (1 << bits) - 1
    low, high = np.minimum(x.min(0), 0), np.maximum(x.max(0), 0)
    if sym:
        high = np.maximum(np.abs(low), high)
        low = np.where(low < 0, -high, low)
    scale = (high - low) / top
    return scale, np.full(len(scale), (top + 1) // 2) if sym else np.rint(-low / scale)


def case(rng, bits, sym, lacking, columns=128, outputs=64, size=32, mean=0.0):
    w = rng.normal(mean, 0.02, (columns, outputs))
    codes, scales, zeros = [], [], []
    for part in w.reshape(-1, size, outputs):
        scale, zero = find_params(part, bits, sym)
        codes.append(np.clip(np.rint(part / scale) + zero, 0, (1 << bits) - 1))
        scales.append(scale)
        zeros.append(zero)
    name = f"{bits}_{'sym' if sym else 'asym'}_{'v1' if lacking else 'v2'}" + ("_shifted" if mean else "")
    stored = (np.stack(zeros) - lacking).astype(np.int64) & (1 << bits) - 1
    print(name, bits, columns, outputs, columns // size, lacking, pack(np.concatenate(codes), 0, bits), pack(stored, 1, bits),
          np.stack(scales).astype("<f2").tobytes().hex())


rng = np.random.default_rng(3)
for lacking in (1, 0):
    for bits in (2, 3, 4):
        for sym in (True, False):
            case(rng, bits, sym, lacking)
    case(rng, 8, True, lacking, 64, 32)
    case(rng, 8, False, lacking, 64, 32)  # a step of 256: nobody can tell
    case(rng, 4, False, lacking, 64, 32, mean=0.002)
    case(rng, 4, False, lacking, 64, 32, mean=0.005)  # so many weights are not around 0
