#!/usr/bin/env python3
"""Writes demo_errors.txt: what other projects' own quantizers err on matrices of the bundled model, and by how much their errors are
weighted by some importance where they make use of one (pip install gguf numpy torch bitsandbytes hqq mlx[cpu]; ik_llama.cpp's or
llama.cpp's llama-quantize).

<format> <who> <error without importance> <error with importance, weighted by it>

An error is the root of the squares of what is off over the squares of what there was, over the matrices below; "-" where the
quantizer refuses, or knows no importance. q8_1, q8_k, q1_0, q2_0 and nvfp4 are derived here from ggml-quants.c, f8q8 from
mistral.rs, gptq2 to gptq8 from AutoGPTQ's Quantizer (symmetric, 128 inputs a group), rounding to nearest.

    python3 make_demo_errors.py --gale build/release/gale --llama-quantize .../bin/llama-quantize > demo_errors.txt
"""
import argparse
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import bitsandbytes.functional as bnb
import gguf
import mlx.core as mx
import numpy as np
import torch
from gguf.quants import dequantize, quantize
from hqq.core.quantize import Quantizer as Hqq

ROOT = Path(__file__).resolve().parents[3]
# One of each kind, from all layers.
NAMES = ["blk.0.attn_q", "blk.0.attn_k", "blk.1.attn_v", "blk.1.attn_output", "blk.2.ffn_gate", "blk.2.ffn_up", "blk.3.ffn_down"]
LLAMA = ["q4_0", "q4_1", "q5_0", "q5_1", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs", "iq2_xxs", "iq2_xs", "iq2_s",
         "iq3_xxs", "iq3_s"]  # fmt: skip
# What llama-quantize calls them, with --pure.
FILE_TYPES = {"q2_k": "Q2_K", "q3_k": "Q3_K_S", "q4_k": "Q4_K_S", "q5_k": "Q5_K_S", "iq2_s": "IQ2_M", "iq3_s": "IQ3_S"}


def importance(columns):
    """What both sides weigh by: a few columns matter much."""
    return (0.01 + 4 * ((np.arange(columns) * 7919 % 1021) / 1021.0) ** 4).astype(np.float32)


def error(matrices, rounded, weighted=False):
    off = size = 0.0
    for name in NAMES:
        w = matrices[name].astype(np.float64)
        by = importance(w.shape[1]).astype(np.float64) if weighted else np.ones(w.shape[1])
        off += (by * (rounded[name].reshape(w.shape) - w) ** 2).sum()
        size += (by * w**2).sum()
    return (off / size) ** 0.5


def of_file(path):
    return {t.name.removesuffix(".weight"): dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors
            if t.name.removesuffix(".weight") in NAMES}  # fmt: skip


def write_imatrix(matrices, path):
    """The older .dat file of llama.cpp."""
    with open(path, "wb") as out:
        out.write(struct.pack("<i", len(matrices)))
        for name, w in matrices.items():
            full = f"{name}.weight".encode()
            out.write(struct.pack("<i", len(full)) + full + struct.pack("<ii", 1, w.shape[1]) + importance(w.shape[1]).tobytes())


def by_llama_quantize(program, source, matrices, folder, name):
    """Errors without importance and with it, None where it refuses."""
    out = []
    for weighted in (False, True):
        path = folder / f"{name}{weighted}.gguf"
        how = ["--imatrix", folder / "imatrix.dat"] if weighted else []
        done = subprocess.run([program, *how, "--pure", source, path, FILE_TYPES.get(name, name.upper()), "2"], capture_output=True)
        kinds = {t.tensor_type.name.lower() for t in gguf.GGUFReader(path).tensors if t.name[:-7] in NAMES} if done.returncode == 0 else ()
        if kinds and kinds != {name}:
            sys.exit(f"{name}: llama-quantize made {kinds}")
        out.append(error(matrices, of_file(path), weighted) if kinds else None)
    return out


def f16(x):
    return x.astype(np.float16).astype(np.float32)


def e4m3(x):
    return torch.from_numpy(np.ascontiguousarray(x)).to(torch.float8_e4m3fn).float().numpy()


def groups(w, n):
    return w.reshape(-1, n)


def half_away(x):
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


def q8(w):
    x = groups(w, 32)
    d = np.abs(x).max(1, keepdims=True) / 127
    return half_away(x * np.divide(1, d, where=d > 0, out=np.zeros_like(d))) * f16(d)


def q8_k(w):
    x = groups(w, 256)
    most = np.take_along_axis(x, np.abs(x).argmax(1)[:, None], 1)
    inverse = -127 / most
    return np.minimum(np.rint(x * inverse), 127) / inverse


def q1_0(w):
    x = groups(w, 128)
    return np.where(x >= 0, 1, -1) * f16(np.abs(x).mean(1, keepdims=True))


def q2_0(w):
    x = groups(w, 64)
    d = np.abs(x).max(1, keepdims=True)
    return np.clip(half_away(x / d), -1, 2) * f16(d)


E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def nvfp4(w, largest=False):
    """ggml's, or ModelOpt's with a scale for the whole matrix."""
    every = np.abs(w).max() / (6 * 448) if largest else np.float32(1)
    x = groups(w, 16) / every
    d = e4m3(np.abs(x).max(1, keepdims=True) / 6)
    return E2M1[np.abs(x[..., None] - d[..., None] * E2M1).argmin(-1)] * d * every


def f8q8(w):
    x = groups(w, 32)
    d = np.abs(x).max(1, keepdims=True) / 127
    return np.clip(half_away(x / d), -128, 127) * (e4m3(d * 448) / 448)


def gptq(bits):
    def make(w):
        x, half = groups(w, 128), 2 ** (bits - 1)
        d = f16(2 * np.abs(x).max(1, keepdims=True) / (2 * half - 1))
        return np.clip(np.rint(x / d), -half, half - 1) * d

    return make


def fp8(w):
    d = np.abs(w).max(1, keepdims=True) / 448
    return e4m3(np.clip(w / d, -448, 448)) * d


def fp8_block(w):
    """DeepSeek's, a scale for 128 x 128."""
    out = np.empty_like(w)
    for r in range(0, w.shape[0], 128):
        for c in range(0, w.shape[1], 128):
            part = w[r : r + 128, c : c + 128]
            d = np.abs(part).max() / 448
            out[r : r + 128, c : c + 128] = e4m3(np.clip(part / d, -448, 448)) * d
    return out


def bnb4(kind):
    def make(w):
        q, state = bnb.quantize_4bit(torch.from_numpy(w), blocksize=64, quant_type=kind)
        return bnb.dequantize_4bit(q, state).numpy()

    return make


def int8(w):
    q, scales, _ = bnb.int8_vectorwise_quant(torch.from_numpy(w).half())
    return (q.float() * scales[:, None] / 127).numpy()


def hqq(bits):
    def make(w):
        q, meta = Hqq.quantize(torch.from_numpy(w), nbits=bits, group_size=64, axis=1, device="cpu", compute_dtype=torch.float16)
        return Hqq.dequantize(q, meta).float().numpy()

    return make


def afq(bits):
    def make(w):
        parts = mx.quantize(mx.array(w).astype(mx.float16), group_size=64, bits=bits)
        return np.array(mx.dequantize(*parts, group_size=64, bits=bits).astype(mx.float32))

    return make


OTHERS = {
    "bf16": ("torch", lambda w: torch.from_numpy(w).bfloat16().float().numpy()),
    "f16": ("torch", lambda w: torch.from_numpy(w).half().float().numpy()),
    "f32": ("torch", lambda w: w),
    "q8_0": ("ggml", q8), "q8_1": ("ggml", q8), "q8_k": ("ggml", q8_k), "q1_0": ("ggml", q1_0), "q2_0": ("ggml", q2_0),
    "nvfp4": ("ModelOpt", lambda w: nvfp4(w, True)), "f8q8": ("mistral.rs", f8q8),
    "fp8": ("torch", fp8), "fp8_block": ("DeepSeek", fp8_block),
    "nf4": ("bitsandbytes", bnb4("nf4")), "fp4": ("bitsandbytes", bnb4("fp4")), "int8": ("bitsandbytes", int8),
} | {f"gptq{bits}": ("AutoGPTQ", gptq(bits)) for bits in (2, 3, 4, 8)}  # fmt: skip
OTHERS |= {f"hqq{bits}": ("hqq", hqq(bits)) for bits in (1, 2, 3, 4, 8)}
OTHERS |= {f"afq{bits}": ("mlx", afq(bits)) for bits in (2, 3, 4, 5, 6, 8)}


def by_gguf(name):
    kind = gguf.GGMLQuantizationType[name.upper()]
    return lambda w: dequantize(quantize(w, kind), kind)


OTHERS |= {name: ("gguf", by_gguf(name)) for name in ("mxfp4", "tq1_0", "tq2_0")}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--gale", required=True, help="which writes the bundled model in f32")
    p.add_argument("--llama-quantize", required=True)
    args = p.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = folder / "f32.gguf"
        subprocess.run([args.gale, "quantize", "-m", ROOT / "models/demo/gale-demo.gguf", "--type", "f32", "-o", source], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        everything = {t.name.removesuffix(".weight"): t.data for t in gguf.GGUFReader(source).tensors if len(t.shape) == 2}
        matrices = {name: everything[name].astype(np.float32) for name in NAMES}
        write_imatrix(everything, folder / "imatrix.dat")
        for name in LLAMA:
            rows[name] = ("llama-quantize", *by_llama_quantize(args.llama_quantize, source, matrices, folder, name))
    for name, (who, make) in OTHERS.items():
        rows[name] = (who, error(matrices, {n: make(w) for n, w in matrices.items()}), None)
    for name, (who, *errors) in sorted(rows.items()):
        print(name, who, *("-" if e is None else f"{e:.7f}" for e in errors))


if __name__ == "__main__":
    main()
