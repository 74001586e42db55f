"""Writes a model as mistral.rs's UQFF 1.2, every layer in another family, by the definition of the files (mistralrs-quant/src) and
not by its packer: shards of layers, and residual.safetensors."""

import argparse
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

from quantized import affine, spread, words

Parts = dict[str, torch.Tensor]
GROUP = 32
E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def u8(x: int) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.uint8)


def u32(x: int | list[int]) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.int64).to(torch.uint32)


def ggml(kind: str):
    def pack(w: torch.Tensor) -> tuple[Parts, torch.Tensor]:
        number = gguf.GGMLQuantizationType[kind.upper()]
        data = gguf.quants.quantize(w.numpy(), number)
        parts = {"": torch.from_numpy(data.reshape(-1).copy()), "dtype": u32(int(number)), "shape": u32(list(w.shape)), "format": u8(0)}
        return parts, torch.from_numpy(gguf.quants.dequantize(data, number)).reshape(w.shape)

    return pack


def plain(w: torch.Tensor) -> tuple[Parts, torch.Tensor]:
    w = w.to(torch.bfloat16)
    return {"": w, "format": u8(1)}, w.float()


def hqq(bits: int):
    """Axis 0: groups run down columns of [GROUP, n / GROUP]."""

    def pack(w: torch.Tensor) -> tuple[Parts, torch.Tensor]:
        cut = w.reshape(GROUP, -1)
        low, high = cut.amin(0, keepdim=True), cut.amax(0, keepdim=True)
        scale = ((high - low) / (2**bits - 1)).clamp(min=1e-5)
        zero = -low / scale
        q = (cut / scale + zero).round().clamp(0, 2**bits - 1)
        together = 10 if bits == 3 else 8 // bits
        rows = torch.nn.functional.pad(q, (0, 0, 0, -GROUP % together)).to(torch.int32).reshape(together, -1, q.shape[1])
        packed = sum(r << bits * (together - 1 - i) for i, r in enumerate(rows))
        parts = {"": packed if bits == 3 else packed.to(torch.uint8), "scales": scale, "zeros": zero, "shape": u32(list(w.shape)),
                 "bits": u8(bits), "group_size": u32(GROUP), "axis": u8(0), "optimization_steps": u32(0), "round_zeros": u8(0),
                 "channel_wise": u8(1), "format": u8(2)}
        return parts, ((q - zero) * scale).reshape(w.shape)

    return pack


def fp8(w: torch.Tensor) -> tuple[Parts, torch.Tensor]:
    scale = w.abs().max() / 448
    q = (w / scale).to(torch.float8_e4m3fn)
    parts = {"": q, "dequant_w_scale": scale, "dequant_x_scale": torch.tensor(1.0), "quant_scale": 1 / scale, "dtype": u32(9), "format": u8(3)}
    return parts, q.float() * scale


def afq(bits: int):
    def pack(w: torch.Tensor) -> tuple[Parts, torch.Tensor]:
        flat = w.reshape(-1, w.shape[-1])
        scale, low = affine(flat, 2**bits - 1)
        q = ((flat - spread(low, flat.shape[1])) / spread(scale, flat.shape[1])).round().clamp(0, 2**bits - 1)
        stack = lambda t: t.reshape(*w.shape[:-1], -1)
        parts = {"": stack(words(q.numpy(), bits).view(torch.uint32)), "scales": stack(scale), "biases": stack(low), "bits": u8(bits),
                 "group_size": u8(GROUP), "format": u8(4)}
        return parts, stack(spread(scale, flat.shape[1]) * q + spread(low, flat.shape[1]))

    return pack


def f8q8(w: torch.Tensor) -> tuple[Parts, torch.Tensor]:
    blocks = w.reshape(-1, 32)
    d = blocks.abs().amax(1, keepdim=True) / 127
    stored = (d * 448).to(torch.float8_e4m3fn)
    q = (blocks / d).round().to(torch.int8)
    parts = {"": torch.cat([stored.view(torch.uint8), q.view(torch.uint8)], 1).reshape(-1), "num_blocks": u32(len(blocks)),
             "shape": u32(list(w.shape)), "format": u8(5)}
    return parts, (q.float() * (stored.float() / 448)).reshape(w.shape)


def mxfp4(w: torch.Tensor) -> tuple[Parts, torch.Tensor]:
    groups = w.reshape(*w.shape[:-1], -1, 32)
    exponent = (groups.abs().amax(-1) / 6).log2().ceil()
    each = torch.exp2(exponent)[..., None]
    q = (groups / each - E2M1.reshape(16, *[1] * groups.dim())).abs().argmin(0).to(torch.uint8).reshape(w.shape)
    parts = {"": q[..., 0::2] | q[..., 1::2] << 4, "scales": (exponent + 127).to(torch.uint8), "format": u8(6)}
    return parts, (E2M1[q.long()].reshape(groups.shape) * each).reshape(w.shape)


FAMILIES = (ggml("q8_0"), hqq(4), afq(4), fp8, f8q8, mxfp4, afq(3), plain, hqq(3), ggml("q4_1"), afq(6), hqq(8))
STACKS = (afq(8), ggml("q8_0"), mxfp4, f8q8, fp8, plain)  # HQQ has none


class Packed:
    """What stands for the weights in the shards, as quantized.Packed."""

    config: dict = {}

    def __init__(self, model: PreTrainedModel):
        self.tensors: Parts = {}
        self.weights: Parts = {}
        self.misread = {"columns of UQFF swapped": {}}
        with torch.no_grad():
            layers = [(n, m.weight) for n, m in model.named_modules()
                      if isinstance(m, (torch.nn.Linear, torch.nn.Embedding)) and not n.endswith(".gate")]
            for i, (name, w) in enumerate(layers):
                value = self.pack(name, ggml("q8_0") if "embed" in name else FAMILIES[i % len(FAMILIES)], w.detach().clone())
                w.copy_(value)
                self.misread["columns of UQFF swapped"][f"{name}.weight"] = value.reshape(-1, 2).flip(1).reshape(value.shape)
            stacks = [(n, p) for n, p in model.named_parameters() if ".experts." in n]
            for i, (name, p) in enumerate(stacks):
                base = name.rpartition(".")[0].replace(".mlp.", ".block_sparse_moe.")
                if name.endswith("gate_up_proj"):
                    gate, up = (self.pack(f"{base}.{n}", STACKS[(2 * i + k) % len(STACKS)], w.clone())
                                for k, (n, w) in enumerate(zip(("gate_proj", "up_proj"), p.detach().chunk(2, 1))))
                    p.copy_(torch.cat([gate, up], 1))
                else:
                    p.copy_(self.pack(f"{base}.down_proj", STACKS[(2 * i + 1) % len(STACKS)], p.detach().clone()))

    def pack(self, name: str, family, w: torch.Tensor) -> torch.Tensor:
        parts, value = family(w)
        self.tensors |= {f"{name}.weight{'.' if suffix else ''}{suffix}": t.contiguous() for suffix, t in parts.items()}
        self.weights[f"{name}.weight"] = value
        return value

    def write(self, dense: Parts, out: Path) -> None:
        """Two shards, cut within the parts of a layer; `dense` has every tensor of the model."""
        version = {f"uqff.version.{part}": u32(n) for part, n in (("major", 1), ("minor", 2), ("patch", 0))}
        names = sorted(self.tensors)
        half = len(names) // 2 + 1
        for i, part in enumerate((names[:half], names[half:])):
            save_file(version | {n: self.tensors[n] for n in part}, out / f"mixed-{i}.uqff", metadata={"uqff.producer": "Gale's tests"})
        save_file({n: t for n, t in dense.items() if n not in self.weights and ".experts." not in n}, out / "residual.safetensors")
        (out / "model.safetensors").unlink(missing_ok=True)
