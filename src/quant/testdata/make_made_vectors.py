#!/usr/bin/env python3
"""Writes made_vectors.txt: blocks that are made under the names of other projects' formats (quant/made_blocks.h), and their values by
those projects' definitions, torch's floats and bitsandbytes' tables (pip install numpy torch).

dequantize <format> <bytes, hex> <values, f32, hex>

    python3 make_made_vectors.py > made_vectors.txt
"""
import numpy as np
import torch
from make_hf_vectors import FP4, NF4

BLOCKS = 3


def write(name, blocks, values):
    print("dequantize", name, b"".join(blocks).hex(), np.concatenate(values).astype(np.float32).tobytes().hex())


def f32_scale(rng):
    return np.float32(rng.uniform(0.001, 0.05) * rng.choice([-1, 1]))


def bytes_of_8(rng):
    """32 columns: an f32 scale and codes of 8 bits."""
    for name in ("fp8", "fp8_block", "int8"):
        blocks, values = [], []
        for _ in range(BLOCKS):
            scale, codes = f32_scale(rng), rng.permutation(256)[:32].astype(np.uint8)
            if name == "int8":
                numbers = codes.view(np.int8).astype(np.float32)
            else:
                codes[codes & 0x7F == 0x7F] = 0x42  # no number
                numbers = torch.from_numpy(codes).view(torch.float8_e4m3fn).float().numpy()
            blocks.append(scale.tobytes() + codes.tobytes())
            values.append(scale * numbers)
        write(name, blocks, values)


def tables(rng):
    """64 columns: an f32 scale and codes of 4 bits, the first of two in the high half."""
    for name, table in (("nf4", NF4), ("fp4", FP4)):
        blocks, values = [], []
        for _ in range(BLOCKS):
            scale, codes = f32_scale(rng), rng.integers(0, 16, 64)
            blocks.append(scale.tobytes() + (codes[0::2] << 4 | codes[1::2]).astype(np.uint8).tobytes())
            values.append(scale * np.asarray(table, np.float32)[codes])
        write(name, blocks, values)


def affine(rng):
    """64 columns: two f16 numbers and a stream of codes from the lowest bit on."""
    for kind, widths in (("afq", (2, 3, 4, 5, 6, 8)), ("hqq", (1, 2, 3, 4, 8))):
        for bits in widths:
            blocks, values = [], []
            for _ in range(BLOCKS):
                first = np.float16(rng.uniform(-0.05, 0.05))
                second = np.float16(rng.uniform(-0.5, 0.5) if kind == "afq" else rng.uniform(0, (1 << bits) - 1))
                codes = rng.integers(0, 1 << bits, 64)
                stream = sum(int(code) << (bits * i) for i, code in enumerate(codes))
                blocks.append(first.tobytes() + second.tobytes() + stream.to_bytes(8 * bits, "little"))
                a, b, q = np.float32(first), np.float32(second), codes.astype(np.float32)
                values.append(a * q + b if kind == "afq" else (q - b) * a)
            write(f"{kind}{bits}", blocks, values)


if __name__ == "__main__":
    for make in (bytes_of_8, tables, affine):
        make(np.random.default_rng(7))
