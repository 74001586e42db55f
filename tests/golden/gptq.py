"""Rounds the linear layers of a model to GPTQ's form of 4 bits, by the definition of the files and not by anybody's packer."""

import argparse

import numpy as np
import torch
from transformers import PreTrainedModel


def pack(codes: np.ndarray, axis: int) -> torch.Tensor:
    """4-bit integers, 8 along `axis` to an int32, the first in the lowest bits."""
    codes = np.moveaxis(codes.astype(np.int64), axis, -1)
    words = (codes.reshape(*codes.shape[:-1], -1, 8) << (4 * np.arange(8))).sum(-1).astype(np.uint32).view(np.int32)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(words, -1, axis)))


class Packed:
    """The tensors that replace "<layer>.weight", and the weights a reader makes of them, read rightly or in some wrong way."""

    def __init__(self, model: PreTrainedModel, args: argparse.Namespace, seed: int):
        self.tensors: dict[str, torch.Tensor] = {}
        self.weights: dict[str, torch.Tensor] = {}  # what they stand for
        self.misread: dict[str, dict[str, torch.Tensor]] = {"gptq zeros": {}}
        if args.gptq_act_order:
            self.misread["gptq act-order"] = {}
        self.config = {"quantization_config": {
            "quant_method": "gptq", "bits": 4, "group_size": args.gptq, "desc_act": args.gptq_act_order,
            "sym": args.gptq_sym, "checkpoint_format": args.gptq_format, "damp_percent": 0.01, "lm_head": False}}
        rng = np.random.default_rng(seed)
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Linear) and "lm_head" not in name:
                self.add(name, module.weight.detach().numpy().T, args, rng)
        with torch.no_grad():
            for name, p in model.named_parameters():
                if name in self.weights:
                    p.copy_(self.weights[name])

    def add(self, name: str, w: np.ndarray, args: argparse.Namespace, rng: np.random.Generator) -> None:
        """w [in, out]: nearest codes under a scale and a zero for each group of inputs and output."""
        columns, outputs = w.shape
        size = columns if args.gptq == -1 else args.gptq
        plain = np.arange(columns) // size
        g_idx = rng.permutation(plain) if args.gptq_act_order else plain
        lacking = 1 if args.gptq_format == "gptq" else 0
        scales, zeros, codes = [], [], np.zeros((columns, outputs), np.int64)
        for g in range(plain[-1] + 1):
            part = w[g_idx == g]
            low, high = np.minimum(part.min(0), 0), np.maximum(part.max(0), 0)
            if args.gptq_sym:
                high = np.maximum(high, -low)
                low = -high
            scale = ((high - low) / 15).astype(np.float16)
            zero = np.full(outputs, 8) if args.gptq_sym else np.clip(np.rint(-low / scale.astype(np.float32)), lacking, 15).astype(np.int64)
            codes[g_idx == g] = np.clip(np.rint(part / scale.astype(np.float32)) + zero, 0, 15)
            scales.append(scale)
            zeros.append(zero)
        scales, zeros = np.stack(scales), np.stack(zeros)
        self.tensors |= {f"{name}.qweight": pack(codes, 0), f"{name}.qzeros": pack(zeros - lacking, 1),
                         f"{name}.scales": torch.from_numpy(scales), f"{name}.g_idx": torch.from_numpy(g_idx.astype(np.int32))}

        def values(groups: np.ndarray, off: int) -> torch.Tensor:
            out = scales.astype(np.float32)[groups] * (codes - zeros[groups] + off).astype(np.float32)
            return torch.from_numpy(np.ascontiguousarray(out.T))

        self.weights[f"{name}.weight"] = values(g_idx, 0)
        self.misread["gptq zeros"][f"{name}.weight"] = values(g_idx, 1)
        if args.gptq_act_order:
            self.misread["gptq act-order"][f"{name}.weight"] = values(plain, 0)
