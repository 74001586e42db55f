#!/usr/bin/env python3
"""Writes vectors.txt: blocks and their values by an implementation that shares no code with ours (pip install gguf numpy).

dequantize <format> <bytes of the blocks, hex> <f32 values, hex>
quantize   <format> <f32 values, hex> <bytes of the blocks, hex>

    python3 make_vectors.py [seed] > vectors.txt
"""
import sys

import gguf
import numpy as np

SCALES = {"q4_0": [0], "q8_0": [0], "q4_k": [0, 2], "q6_k": [208], "q5_k": [0, 2], "bf16": [], "f16": []}  # where a block has an f16


def blocks(rng, name, size):
    """Random bytes, then all codes and inner scales zero, then all of them ones; block scales: usual, negative, smallest."""
    out = np.stack([rng.integers(0, 256, size), np.full(size, 0), np.full(size, 255)]).astype(np.uint8)
    for row, scale in zip(out, (0.0123, -1.5, 2.0**-24)):
        for at in SCALES[name]:
            row[at : at + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
    return out


def mxfp4_blocks(rng):
    """Random codes under usual exponents, all codes under the smallest three (subnormal) and the largest one that overflows nothing."""
    out = rng.integers(0, 256, (6, 17)).astype(np.uint8)
    out[:, 0] = (120, 127, 0, 1, 2, 252)
    out[2:, 1:] = np.arange(16) * 17  # both halves of a byte the same: every code twice
    return out


def inputs(rng):
    usual = rng.normal(0, 0.02, (4, 32))
    usual[1, 3], usual[1, 9] = 0.5, -0.5  # the largest magnitude twice, with both signs
    usual[2] = 0
    usual[3] *= 1e-6  # scales below the normal f16
    return usual.astype(np.float32)


def main():
    rng = np.random.default_rng(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    for name in ("q4_0", "q8_0", "q4_k", "q6_k"):
        kind = gguf.GGMLQuantizationType[name.upper()]
        data = blocks(rng, name, gguf.GGML_QUANT_SIZES[kind][1])
        print("dequantize", name, data.tobytes().hex(), gguf.quants.dequantize(data, kind).astype("<f4").tobytes().hex())
    halves = np.array([0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x3C00, 0xC123, 0x7BFF], "<u2")
    print("dequantize f16", halves.tobytes().hex(), halves.view("<f2").astype("<f4").tobytes().hex())
    upper = np.array([0x0000, 0x8000, 0x0001, 0x3F80, 0xC0FF, 0x7F7F], "<u2").view(np.uint8).reshape(1, -1)
    values = gguf.quants.dequantize(upper, gguf.GGMLQuantizationType.BF16)
    print("dequantize bf16", upper.tobytes().hex(), values.astype("<f4").tobytes().hex())
    for name in ("q4_0", "q8_0", "f16", "bf16"):
        x = inputs(rng)
        out = gguf.quants.quantize(x, gguf.GGMLQuantizationType[name.upper()])
        print("quantize", name, x.astype("<f4").tobytes().hex(), out.tobytes().hex())
    for name, data in (("q5_k", blocks(rng, "q5_k", 176)), ("mxfp4", mxfp4_blocks(rng))):
        values = gguf.quants.dequantize(data, gguf.GGMLQuantizationType[name.upper()])
        print("dequantize", name, data.tobytes().hex(), values.astype("<f4").tobytes().hex())


if __name__ == "__main__":
    main()
