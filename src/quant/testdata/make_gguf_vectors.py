#!/usr/bin/env python3
"""Writes gguf_vectors.txt, in the form of vectors.txt: GGUF's other types, by an implementation that shares no code with ours
(pip install gguf numpy torch). q8_1, q8_k, q1_0 and q2_0, which it does not read, are derived here from ggml-common.h and
ggml-quants.c; f8q8 from mistral.rs (mistralrs-quant/src/f8q8/mod.rs); and the blocks of gptq2 to gptq8 from
src/quant/gptq_blocks.h, there being no others.

    python3 make_gguf_vectors.py [seed] > gguf_vectors.txt
"""
import sys

import gguf
import numpy as np
import torch

# Where a block has an f16 scale.
SCALES = {
    "q4_1": [0, 2], "q5_0": [0], "q5_1": [0, 2], "q8_1": [0, 2], "q2_k": [80, 82], "q3_k": [108], "iq4_nl": [0], "iq4_xs": [0],
    "tq1_0": [52], "tq2_0": [64], "iq2_xxs": [0], "iq2_xs": [0], "iq2_s": [0], "iq3_xxs": [0], "iq3_s": [0], "iq1_s": [0],
    "iq1_m": [],
}  # fmt: skip


def blocks(rng, name, size):
    """Random bytes, then all ones; block scales: usual, smallest."""
    out = np.stack([rng.integers(0, 256, size), np.full(size, 255)]).astype(np.uint8)
    for row, scale in zip(out, (0.0123, -(2.0**-24))):
        for at in SCALES[name]:
            row[at : at + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
    if name == "iq1_m":  # its f16 is spread over the high halves of four words: below the exponents of no numbers
        out[:, 55] &= 0xBF
    return out


def q8_1(block):
    return block[:2].view(np.float16).astype(np.float32) * block[4:].view(np.int8).astype(np.float32)


def q8_k_blocks(rng):
    codes = np.stack([rng.integers(-128, 128, 256), np.full(256, -128)]).astype(np.int8)
    out = []
    for row, d in zip(codes, (0.00123, -1e-40)):
        sums = row.astype(np.int16).reshape(16, 16).sum(axis=1, dtype=np.int16)
        out.append(np.float32(d).tobytes() + row.tobytes() + sums.astype("<i2").tobytes())
    values = np.stack([np.float32(d) * row.astype(np.float32) for row, d in zip(codes, (0.00123, -1e-40))])
    return b"".join(out), values


def inputs(rng, n):
    usual = rng.normal(0, 0.02, (4, n))
    usual[1, 3], usual[1, 9] = 0.5, -0.5  # the largest magnitude twice, with both signs
    usual[2] = 0
    usual[3] = np.abs(usual[3]) + 0.1  # nothing below zero
    return usual.astype(np.float32)


def ternary(rng):
    return (rng.integers(-1, 2, (2, 256)) * np.array([[0.037], [1.5]])).astype(np.float32)


def nvfp4_blocks(rng):
    """Every scale that there is, and the byte that is none."""
    out = rng.integers(0, 256, (32, 36)).astype(np.uint8)
    out[:, :4] = np.arange(128).reshape(32, 4)
    return out


def with_half(rng, rows, size):
    out = rng.integers(0, 256, (rows, 2 + size)).astype(np.uint8)
    for row, scale in zip(out, (0.0123, -(2.0**-24), 0.0, 1.5)):
        row[:2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
    return out


def low_first(codes, bits):
    """[rows, n] codes that lie one after another in rows of bytes, from the lowest bit on."""
    flat = np.unpackbits(codes, axis=1, bitorder="little")
    return flat.reshape(len(codes), -1, bits) @ (1 << np.arange(bits))


def scaled(data, bits, less, times=1):
    d = np.frombuffer(data[:, :2].tobytes(), "<f2").astype(np.float32)[:, None]
    return d * (times * low_first(data[:, 2:], bits) - less).astype(np.float32)


def f8q8(data):
    d = torch.tensor(data[:, :1]).view(torch.float8_e4m3fn).float().numpy() / np.float32(448)
    return data[:, 1:].view(np.int8).astype(np.float32) * d


def newer(rng, put):
    data = nvfp4_blocks(rng)
    put("dequantize", "nvfp4", data.tobytes(), gguf.quants.dequantize(data, gguf.GGMLQuantizationType.NVFP4).astype("<f4").tobytes())
    data = rng.integers(0, 256, (4, 33)).astype(np.uint8)
    data[:, 0] = [0x7E, 0x01, 0x00, 0xB1]
    put("dequantize", "f8q8", data.tobytes(), f8q8(data).astype("<f4").tobytes())
    for name, bits, columns, less, times in [("q1_0", 1, 128, 1, 2), ("q2_0", 2, 64, 1, 1)] + [
        (f"gptq{b}", b, 128, 1 << (b - 1), 1) for b in (2, 3, 4, 8)
    ]:
        data = with_half(rng, 4, columns * bits // 8)
        put("dequantize", name, data.tobytes(), scaled(data, bits, less, times).astype("<f4").tobytes())
    x = inputs(rng, 128)
    x[0, 5] = -0.0
    mean = np.float32(0)
    means = []
    for row in x:  # one after another, as the reference adds
        for v in row:
            mean = mean + np.abs(v)
        means.append(np.float16(mean / np.float32(128)))
        mean = np.float32(0)
    signs = np.packbits(x >= 0, axis=1, bitorder="little")
    put("quantize", "q1_0", x.astype("<f4").tobytes(), b"".join(m.tobytes() + s.tobytes() for m, s in zip(means, signs)))
    x = (rng.integers(-1, 2, (2, 64)) * np.array([[0.037], [1.5]])).astype(np.float32)  # ternary: the reference's codes
    codes = (np.sign(x) + 1).astype(np.uint8)
    packed = codes.reshape(2, 16, 4) @ np.array([1, 4, 16, 64])
    rows = [np.float16(np.abs(r).max()).tobytes() + p.astype(np.uint8).tobytes() for r, p in zip(x, packed)]
    put("quantize", "q2_0", x.astype("<f4").tobytes(), b"".join(rows))


def main():
    rng = np.random.default_rng(int(sys.argv[1]) if len(sys.argv) > 1 else 1)

    def put(task, name, first, second):
        print(task, name, first.hex(), second.hex())

    for name in SCALES:
        kind = gguf.GGMLQuantizationType[name.upper()]
        data = blocks(rng, name, 36 if name == "q8_1" else gguf.GGML_QUANT_SIZES[kind][1])
        values = np.stack([q8_1(b) for b in data]) if name == "q8_1" else gguf.quants.dequantize(data, kind)
        put("dequantize", name, data.tobytes(), values.astype("<f4").tobytes())
    data, values = q8_k_blocks(rng)
    put("dequantize", "q8_k", data, values.astype("<f4").tobytes())
    for name, x in [(n, inputs(rng, 32)) for n in ("q4_1", "q5_0", "q5_1")] + [(n, ternary(rng)) for n in ("tq1_0", "tq2_0")]:
        out = gguf.quants.quantize(x, gguf.GGMLQuantizationType[name.upper()])
        put("quantize", name, x.astype("<f4").tobytes(), out.tobytes())
    newer(rng, put)


if __name__ == "__main__":
    main()
