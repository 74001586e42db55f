"""Rounds the linear layers of a model to a format of quantized safetensors, by the definition of the files and not by anybody's packer."""

import argparse
import json
from collections.abc import Iterator

import numpy as np
import torch
from transformers import PreTrainedModel

Parts = dict[str, torch.Tensor]
SIDE = 32  # of a block, columns of a group


def words(codes: np.ndarray, bits: int) -> torch.Tensor:
    """Codes along the last axis, from the lowest bit on, as int32."""
    stream = (codes.astype(np.int64)[..., None] >> np.arange(bits) & 1).reshape(*codes.shape[:-1], -1, 32)
    return torch.from_numpy((stream << np.arange(32)).sum(-1).astype(np.uint32).view(np.int32))


def spread(per_group: torch.Tensor, columns: int) -> torch.Tensor:
    return per_group.float().repeat_interleave(columns // per_group.shape[1], 1)


def affine(w: torch.Tensor, top: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and least value of each group of SIDE columns, codes being 0 .. top."""
    groups = w.reshape(w.shape[0], -1, SIDE)
    low, high = groups.amin(-1), groups.amax(-1)
    return ((high - low) / top).clamp(min=1e-5), low


def fp8_block(w: torch.Tensor) -> tuple[Parts, torch.Tensor, torch.Tensor]:
    """DeepSeek's: a scale for each block."""
    out, columns = w.shape
    tiles = torch.nn.functional.pad(w, (0, -columns % SIDE, 0, -out % SIDE)).unfold(0, SIDE, SIDE).unfold(1, SIDE, SIDE)
    scale = tiles.abs().amax((2, 3)).clamp(min=1e-6) / 448
    each = scale.repeat_interleave(SIDE, 0).repeat_interleave(SIDE, 1)[:out, :columns]
    q = (w / each).to(torch.float8_e4m3fn)
    other = scale.roll(1, 1).repeat_interleave(SIDE, 0).repeat_interleave(SIDE, 1)[:out, :columns]
    return {"weight": q, "weight_scale_inv": scale}, q.float() * each, q.float() * other


def fp8_channel(w: torch.Tensor) -> tuple[Parts, torch.Tensor, torch.Tensor]:
    scale = (w.abs().amax(1, keepdim=True) / 448).to(torch.bfloat16)
    q = (w / scale.float()).clamp(-448, 448).to(torch.float8_e4m3fn)
    return {"weight": q, "weight_scale": scale}, q.float() * scale.float(), q.float() * scale.float().mean()


def awq(w: torch.Tensor) -> tuple[Parts, torch.Tensor, torch.Tensor]:
    """AutoAWQ's gemm: along the outputs, 0 2 4 6 1 3 5 7 of each 8."""
    columns = w.shape[1]
    scale, low = affine(w, 15)
    scale = scale.half()
    zero = (-low / scale.float()).round().clamp(0, 15)
    q = (w / spread(scale, columns) + spread(zero, columns)).round().clamp(0, 15)

    def packed(codes: torch.Tensor) -> torch.Tensor:
        codes = codes.T.reshape(codes.shape[1], -1, 8)[..., [0, 2, 4, 6, 1, 3, 5, 7]]
        return words(codes.reshape(codes.shape[0], -1).numpy(), 4)

    value = spread(scale, columns) * (q - spread(zero, columns))
    swapped = q.reshape(-1, 8, columns)[:, [0, 4, 1, 5, 2, 6, 3, 7]].reshape(q.shape)
    parts = {"qweight": packed(q), "qzeros": packed(zero), "scales": scale.T.contiguous()}
    return parts, value, spread(scale, columns) * (swapped - spread(zero, columns))


def int4(w: torch.Tensor) -> tuple[Parts, torch.Tensor, torch.Tensor]:
    """compressed-tensors' "pack-quantized", symmetric, scales in bf16."""
    scale = (w.reshape(w.shape[0], -1, SIDE).abs().amax(-1) / 7).clamp(min=1e-5).to(torch.bfloat16)
    each = spread(scale, w.shape[1])
    q = (w / each).round().clamp(-8, 7)
    parts = {"weight_packed": words((q + 8).numpy(), 4), "weight_scale": scale, "weight_shape": torch.tensor(w.shape)}
    return parts, q * each, (q + 1) * each


def int8(w: torch.Tensor) -> tuple[Parts, torch.Tensor, torch.Tensor]:
    """compressed-tensors' w8a8: a scale for each output."""
    scale = w.abs().amax(1, keepdim=True) / 127
    q = (w / scale).round().clamp(-128, 127)
    return {"weight": q.to(torch.int8), "weight_scale": scale}, q * scale, q * scale.mean()


def nf4(w: torch.Tensor) -> tuple[Parts, torch.Tensor, torch.Tensor]:
    """bitsandbytes' with a nested absmax; blocks of 64 run over the flattened matrix."""
    table = torch.tensor([-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
                          -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
                          0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0])
    blocks = w.reshape(-1, 64)
    largest = blocks.abs().amax(1)
    offset, inner = largest.mean(), torch.linspace(-1, 1, 256)
    outer = torch.stack([part.abs().amax() for part in (largest - offset).split(256)])
    codes = ((largest - offset)[:, None] / outer.repeat_interleave(256)[:len(largest), None] - inner).abs().argmin(1)
    absmax = inner[codes] * outer.repeat_interleave(256)[:len(largest)] + offset
    q = (blocks / absmax[:, None] - table[:, None, None]).abs().argmin(0)
    flat = q.reshape(-1)
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": list(w.shape), "nested_blocksize": 256,
             "nested_dtype": "float32", "nested_offset": offset.item()}
    parts = {"weight": (flat[0::2] << 4 | flat[1::2]).to(torch.uint8)[:, None], "weight.absmax": codes.to(torch.uint8),
             "weight.quant_map": table, "weight.nested_absmax": outer, "weight.nested_quant_map": inner,
             "weight.quant_state.bitsandbytes__nf4": torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)}
    swapped = flat.reshape(-1, 2).flip(1).reshape(q.shape)
    return parts, (table[q] * absmax[:, None]).reshape(w.shape), (table[swapped] * absmax[:, None]).reshape(w.shape)


def nvfp4(w: torch.Tensor) -> tuple[Parts, torch.Tensor, torch.Tensor]:
    """ModelOpt's: a scale of 8 bits for each 16 columns, times one for all."""
    table = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
    every = w.abs().amax() / (6 * 448)
    scale = (w.reshape(w.shape[0], -1, 16).abs().amax(-1) / 6 / every).clamp(min=2**-6).to(torch.float8_e4m3fn)
    each = (scale.float() * every).repeat_interleave(16, 1)
    q = (w / each - table[:, None, None]).abs().argmin(0).to(torch.uint8)
    parts = {"weight": q[:, 0::2] | q[:, 1::2] << 4, "weight_scale": scale, "weight_scale_2": every}
    return parts, each * table[q.long()], every * 16 * table[q.long()]


def hqq(w: torch.Tensor) -> tuple[Parts, torch.Tensor, torch.Tensor]:
    """Groups along axis 1, of 4 bits; zeros are fractions."""
    scale, low = affine(w, 15)
    scale, zero = scale.half(), (-low / scale.half().float()).half()
    q = (w.reshape(-1, SIDE) / scale.reshape(-1, 1).float() + zero.reshape(-1, 1).float()).round().clamp(0, 15)
    half = len(q) // 2
    packed = (q[:half].to(torch.uint8) << 4 | q[half:].to(torch.uint8))
    number = lambda x: torch.tensor(x, dtype=torch.int32)
    parts = {"W_q": packed, "scale": scale.reshape(-1, 1), "zero": zero.reshape(-1, 1), "nbits": number(4), "group_size": number(SIDE),
             "axis": number(1), "shape": torch.tensor(w.shape), "view_as_float": torch.tensor(0, dtype=torch.uint8)}
    value = lambda z: ((q - z.reshape(-1, 1)) * scale.reshape(-1, 1).float()).reshape(w.shape)
    return parts, value(zero.float()), value(zero.float().floor())


def afq(w: torch.Tensor) -> tuple[Parts, torch.Tensor, torch.Tensor]:
    """MLX's, of 6 bits."""
    scale, low = (x.to(torch.bfloat16) for x in affine(w, 63))
    q = ((w - spread(low, w.shape[1])) / spread(scale, w.shape[1])).round().clamp(0, 63)
    value = spread(scale, w.shape[1]) * q + spread(low, w.shape[1])
    parts = {"weight": words(q.numpy(), 6).view(torch.uint32), "scales": scale, "biases": low}
    return parts, value, spread(scale, w.shape[1]) * q - spread(low, w.shape[1])


def compressed(form: str) -> dict:
    return {"quant_method": "compressed-tensors", "format": form}


FORMS = {
    "fp8_block": (fp8_block, {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [SIDE, SIDE]}),
    "fp8_channel": (fp8_channel, compressed("float-quantized")),
    "awq": (awq, {"quant_method": "awq", "bits": 4, "group_size": SIDE, "version": "gemm", "zero_point": True}),
    "int4": (int4, compressed("pack-quantized") | {"config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": SIDE}}}}),
    "int8": (int8, compressed("int-quantized") | {"config_groups": {"group_0": {"weights": {"num_bits": 8}}}}),
    "nf4": (nf4, {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}),
    "nvfp4": (nvfp4, {"quant_method": "modelopt", "quant_algo": "NVFP4"}),
    "hqq": (hqq, {"quant_method": "hqq"}),
    "afq": (afq, {"bits": 6, "group_size": SIDE}),
}


def experts(model: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    """Mixtral's as they are published, and where transformers 5 holds them."""
    for name, p in model.named_parameters():
        base = name.rpartition(".")[0].replace(".mlp.", ".block_sparse_moe.")
        for e in range(len(p) if ".experts." in name else 0):
            if name.endswith("gate_up_proj"):
                yield from zip((f"{base}.{e}.w1", f"{base}.{e}.w3"), p[e].chunk(2))
            else:
                yield f"{base}.{e}.w2", p[e]


class Packed:
    """The tensors that replace "<layer>.weight", and the weights a reader makes of them, read rightly or in some wrong way."""

    def __init__(self, model: PreTrainedModel, args: argparse.Namespace):
        form, config = FORMS[args.quantized]
        self.config = {"quantization_config": config}
        self.tensors: Parts = {}
        self.weights: Parts = {}  # what they stand for
        wrong: Parts = {}
        linear = {name: module.weight for name, module in model.named_modules()
                  if isinstance(module, torch.nn.Linear) and "lm_head" not in name and not name.endswith(".gate")}
        with torch.no_grad():
            for name, w in (*linear.items(), *experts(model)):
                parts, value, misread = form(w.detach().clone())
                self.tensors |= {f"{name}.{suffix}": tensor.contiguous() for suffix, tensor in parts.items()}
                self.weights[f"{name}.weight"] = value
                w.copy_(value)
                if name in linear:
                    wrong[f"{name}.weight"] = misread
        self.misread = {f"{args.quantized} read wrongly": wrong}
