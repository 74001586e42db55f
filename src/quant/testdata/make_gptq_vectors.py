#!/usr/bin/env python3
"""Writes gptq_vectors.txt: GPTQ weights packed by the definition of AutoGPTQ's files, and their values (pip install numpy).

<name> <config, JSON without spaces> <in> <out> <groups> <qweight> <qzeros> <scales, f16> <g_idx or -> <f32 values [out, in]>    (hex)

    python3 make_gptq_vectors.py [seed] > gptq_vectors.txt
"""
import json
import sys

import numpy as np


def pack(codes, axis, lacking=0):
    """4-bit integers, 8 along `axis` to an int32, the first in the lowest bits."""
    codes = np.moveaxis(np.asarray(codes, np.int64) - lacking, axis, -1)
    shifts = 4 * np.arange(8)
    words = (codes.reshape(*codes.shape[:-1], -1, 8) << shifts).sum(-1).astype("<u4")
    return np.ascontiguousarray(np.moveaxis(words, -1, axis))


def case(rng, name, columns, outputs, group_size, v2=False, act_order=False, with_g_idx=True, extreme=False):
    size = columns if group_size == -1 else group_size
    groups = -(-columns // size)
    lacking = 0 if v2 else 1
    codes = rng.integers(0, 2, (columns, outputs)) * 15 if extreme else rng.integers(0, 16, (columns, outputs))
    zeros = rng.integers(0, 2, (groups, outputs)) * 15 + lacking if extreme else rng.integers(lacking, 16, (groups, outputs))
    scales = rng.normal(0, 0.01, (groups, outputs)).astype("<f2")
    if extreme:
        scales.flat[:4] = np.array([0, 2.0**-24, 65504, -65504], "<f2")
    g_idx = np.arange(columns, dtype="<i4") // size
    if act_order:
        rng.shuffle(g_idx)
    values = scales.astype(np.float32)[g_idx] * (codes - zeros[g_idx]).astype(np.float32)
    config = {"quant_method": "gptq", "bits": 4, "group_size": group_size, "desc_act": act_order,
              "checkpoint_format": "gptq_v2" if v2 else "gptq"}
    parts = [pack(codes, 0), pack(zeros, 1, lacking), scales] + ([g_idx] if with_g_idx else [])
    texts = [p.tobytes().hex() for p in parts] + ([] if with_g_idx else ["-"])
    print(name, json.dumps(config, separators=(",", ":")), columns, outputs, groups, *texts,
          np.ascontiguousarray(values.T).astype("<f4").tobytes().hex())


def main():
    rng = np.random.default_rng(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    case(rng, "v1", 64, 8, 32)
    case(rng, "v2_act_order", 128, 16, 64, v2=True, act_order=True)
    case(rng, "v1_whole_row_no_g_idx", 96, 8, -1, with_g_idx=False)
    case(rng, "v1_extremes_act_order", 64, 8, 32, act_order=True, extreme=True)
    case(rng, "v2_extremes", 128, 8, 128, v2=True, extreme=True)
    case(rng, "v1_short_last_group", 160, 8, 128)


if __name__ == "__main__":
    main()
