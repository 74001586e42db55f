"""Rounds the linear layers of a model to GPTQ's form of 4 bits, by the definition of the files and not by anybody's packer."""

import argparse
import json
import re
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

import quantized

# GPTQModel's rules for single modules (quantization/config.py, dynamic_get): the first whose pattern re.match finds decides.
DYNAMIC: dict[str, dict] = {
    r"-:.*\.0\.self_attn\.q_proj": {},
    r"+:.*\.down_proj$": {"bits": 8, "group_size": -1},
    r".*\.1\..*(gate|up)_proj": {"bits": 2, "group_size": 32, "sym": True},
    r"model\.layers\.1\.": {"bits": 3, "group_size": 64, "desc_act": False},
    r".*": {"desc_act": True},
    r".*o_proj": {"bits": 8},
}


def settings(name: str, dynamic: dict[str, dict], plain: dict) -> dict | None:
    """Of one module; None where it is not quantized."""
    for pattern, own in dynamic.items():
        if re.match(pattern.removeprefix("-:").removeprefix("+:"), name):
            return None if pattern.startswith("-:") else plain | own
    return plain


def pack(codes: np.ndarray, axis: int, bits: int) -> torch.Tensor:
    """Integers along `axis`, the first in the lowest bits of an int32."""
    words = quantized.words(np.moveaxis(codes, axis, -1), bits)
    return torch.moveaxis(words, -1, axis).contiguous()


class Packed:
    """The tensors that replace "<layer>.weight", and the weights a reader makes of them, read rightly or in some wrong way."""

    def __init__(self, model: PreTrainedModel, args: argparse.Namespace, seed: int):
        self.tensors: dict[str, torch.Tensor] = {}
        self.weights: dict[str, torch.Tensor] = {}  # what they stand for
        self.misread: dict[str, dict[str, torch.Tensor]] = {"gptq zeros": {}}
        self.config = {"quantization_config": {
            "quant_method": "gptq", "bits": 4, "group_size": args.gptq, "desc_act": args.gptq_act_order,
            "sym": args.gptq_sym, "checkpoint_format": args.gptq_format, "damp_percent": 0.01, "lm_head": False}}
        plain = self.config["quantization_config"]
        dynamic = DYNAMIC if args.gptq_dynamic else {}
        if dynamic:
            plain["dynamic"] = dynamic
        if args.gptq_old:  # a file of its own, which knows less
            own = {key: plain[key] for key in ("bits", "group_size", "damp_percent", "desc_act", "sym")} | {"true_sequential": True}
            self.config = {}
            self.write = lambda tensors, out: self.write_old(tensors, out, own)
        rng = np.random.default_rng(seed)
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Linear) and "lm_head" not in name:
                if own := settings(name, dynamic, plain):
                    self.add(name, module.weight.detach().numpy().T, own, lacking=1 if args.gptq_format == "gptq" else 0, rng=rng)
        with torch.no_grad():
            for name, p in model.named_parameters():
                if name in self.weights:
                    p.copy_(self.weights[name])

    def write_old(self, tensors: dict[str, torch.Tensor], out: Path, own: dict) -> None:
        save_file({n: t for n, t in tensors.items() if n not in self.weights} | self.tensors, out / "model.safetensors",
                  metadata={"format": "pt"})
        (out / "quantize_config.json").write_text(json.dumps(own, indent=2) + "\n")

    def add(self, name: str, w: np.ndarray, own: dict, lacking: int, rng: np.random.Generator) -> None:
        """w [in, out]: nearest codes under a scale and a zero for each group of inputs and output."""
        columns, outputs = w.shape
        bits, top = own["bits"], (1 << own["bits"]) - 1
        size = columns if own["group_size"] == -1 else own["group_size"]
        plain = np.arange(columns) // size
        g_idx = rng.permutation(plain) if own["desc_act"] else plain
        scales, zeros, codes = [], [], np.zeros((columns, outputs), np.int64)
        for g in range(plain[-1] + 1):
            part = w[g_idx == g]
            low, high = np.minimum(part.min(0), 0), np.maximum(part.max(0), 0)
            if own["sym"]:
                high = np.maximum(high, -low)
                low = -high
            scale = ((high - low) / top).astype(np.float16)
            zero = np.full(outputs, 1 << bits - 1) if own["sym"] else np.clip(np.rint(-low / scale.astype(np.float32)), lacking, top).astype(np.int64)
            codes[g_idx == g] = np.clip(np.rint(part / scale.astype(np.float32)) + zero, 0, top)
            scales.append(scale)
            zeros.append(zero)
        scales, zeros = np.stack(scales), np.stack(zeros)
        self.tensors |= {f"{name}.qweight": pack(codes, 0, bits), f"{name}.qzeros": pack(zeros - lacking, 1, bits),
                         f"{name}.scales": torch.from_numpy(scales)}
        if own["desc_act"] or "dynamic" not in own:
            self.tensors[f"{name}.g_idx"] = torch.from_numpy(g_idx.astype(np.int32))

        def values(groups: np.ndarray, off: int) -> torch.Tensor:
            out = scales.astype(np.float32)[groups] * (codes - zeros[groups] + off).astype(np.float32)
            return torch.from_numpy(np.ascontiguousarray(out.T))

        self.weights[f"{name}.weight"] = values(g_idx, 0)
        self.misread["gptq zeros"][f"{name}.weight"] = values(g_idx, 1)
        if own["desc_act"]:
            self.misread.setdefault("gptq act-order", {})[f"{name}.weight"] = values(plain, 0)
