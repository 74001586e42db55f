"""What Python packages themselves save: bitsandbytes through transformers, hqq, MLX and compressed-tensors (pip install bitsandbytes
accelerate hqq mlx[cpu] compressed-tensors), all on a CPU. Unlike quantized.py nothing here knows how a format is written."""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PreTrainedModel

Parts = dict[str, torch.Tensor]
Layers = dict[str, torch.nn.Linear]


def bitsandbytes(**how):
    def save(model: PreTrainedModel, layers: Layers) -> tuple[Parts, Parts, dict]:
        import bitsandbytes as bnb
        from transformers import BitsAndBytesConfig

        with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as out:
            model.save_pretrained(plain)
            other = AutoModelForCausalLM.from_pretrained(plain, quantization_config=BitsAndBytesConfig(**how), dtype=torch.float32)
            other.save_pretrained(out)
            tensors, config = load_file(Path(out) / "model.safetensors"), json.loads((Path(out) / "config.json").read_text())
        parts = {n: t for n, t in tensors.items() if any(n.startswith(f"{layer}.") for layer in layers)}
        values = {}
        for name in layers:  # as the package reads them again: in memory it may have arranged them for its kernels
            weight = f"{name}.weight"
            if "load_in_8bit" in how:
                values[name] = bnb.functional.int8_vectorwise_dequant(parts[weight], parts[f"{name}.SCB"])
            else:
                state = {n.removeprefix(f"{weight}."): t for n, t in parts.items() if n.startswith(f"{weight}.")}
                values[name] = bnb.functional.dequantize_4bit(parts[weight], bnb.functional.QuantState.from_dict(state, "cpu"))
        return parts, values, {"quantization_config": config["quantization_config"]}

    return save


def hqq(model: PreTrainedModel, layers: Layers) -> tuple[Parts, Parts, dict]:
    """Every layer of other bits, axis and group."""
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear, Quantizer

    kinds = [(bits, axis, size) for bits in (8, 4, 3, 2, 1) for axis, size in ((0, 32), (1, 64), (0, 16))]
    parts, values = {}, {}
    for i, (name, layer) in enumerate(layers.items()):
        bits, axis, size = kinds[i % len(kinds)]
        how = BaseQuantizeConfig(nbits=bits, group_size=size, axis=axis)
        made = HQQLinear(layer, how, compute_dtype=torch.float16, device="cpu", del_orig=False)
        meta = made.meta | {key: made.meta[key].float() for key in ("scale", "zero")} | {"compute_dtype": torch.float32}
        values[name] = Quantizer.dequantize(made.W_q, meta)
        parts |= {f"{name}.{key}": t for key, t in made.state_dict().items() if torch.is_tensor(t)}
    return parts, values, {"quantization_config": {"quant_method": "hqq"}}


def mlx(model: PreTrainedModel, layers: Layers) -> tuple[Parts, Parts, dict]:
    """Every layer of other bits and groups, which the config says of each, three of them in the modes without biases."""
    import mlx.core as mx

    kinds = [(bits, size, "affine") for size in (64, 32, 128) for bits in (4, 2, 3, 5, 6, 8)]
    for at, kind in ((5, (4, 32, "mxfp4")), (9, (4, 16, "nvfp4")), (14, (8, 32, "mxfp8"))):
        kinds.insert(at, kind)
    assert len(layers) >= len(kinds)
    config: dict = {"group_size": 64, "bits": 4, "mode": "affine"}
    arrays, values = {}, {}
    for i, (name, layer) in enumerate(layers.items()):
        bits, size, mode = kinds[i % len(kinds)]
        made = mx.quantize(mx.array(layer.weight.detach().numpy()).astype(mx.bfloat16), group_size=size, bits=bits, mode=mode)
        arrays |= {f"{name}.{part}": a for part, a in zip(("weight", "scales", "biases"), made)}
        numbers = [made[0], *(a.astype(mx.float32) for a in made[1:])] if mode == "affine" else made
        value = mx.dequantize(*numbers, group_size=size, bits=bits, mode=mode, dtype=mx.float32)
        values[name] = torch.from_numpy(np.array(value))
        if (bits, size, mode) != (4, 64, "affine"):
            config[name] = {"group_size": size, "bits": bits} | ({"mode": mode} if mode != "affine" else {})
    with tempfile.TemporaryDirectory() as folder:
        mx.save_safetensors(f"{folder}/model.safetensors", arrays, metadata={"format": "mlx"})
        return load_file(f"{folder}/model.safetensors"), values, {"quantization": config}


def compressed(model: PreTrainedModel, layers: Layers) -> tuple[Parts, Parts, dict]:
    """Every layer in another of compressed-tensors' forms."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

    kinds = [("pack-quantized", {"num_bits": 4, "strategy": "group", "group_size": 32, "symmetric": False}),
             ("pack-quantized", {"num_bits": 8, "strategy": "channel"}),
             ("float-quantized", {"num_bits": 8, "type": "float", "strategy": "tensor"}),
             ("nvfp4-pack-quantized", {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}),
             ("int-quantized", {"num_bits": 8, "strategy": "channel"}),
             ("pack-quantized", {"num_bits": 4, "strategy": "group", "group_size": 16}),
             ("float-quantized", {"num_bits": 8, "type": "float", "strategy": "channel"})]  # fmt: skip
    parts, values, groups = {}, {}, {}
    for i, (name, layer) in enumerate(layers.items()):
        form, how = kinds[i % len(kinds)]
        args = QuantizationArgs(**how)
        scheme = QuantizationScheme(targets=[name], weights=args, format=form)
        w = layer.weight.detach()
        runs = {"group": (len(w), -1, how.get("group_size", 1)), "tensor_group": (len(w), -1, how.get("group_size", 1)),
                "channel": (len(w), 1, -1), "tensor": (1, 1, -1)}[how["strategy"]]
        cut = w.reshape(runs)
        every = generate_gparam(w.amin(), w.amax()) if how["strategy"] == "tensor_group" else None
        scale, zero = calculate_qparams(cut.amin(-1), cut.amax(-1), args, global_scale=every)
        if how["strategy"] == "tensor":
            scale, zero = scale.reshape(1), zero.reshape(1)
        state = {"weight": w, "weight_scale": scale, "weight_zero_point": zero}
        if every is not None:
            state["weight_global_scale"] = every
        packer = BaseCompressor.get_value_from_registry(form)
        made = packer.compress(state, scheme)
        if every is None:
            values[name] = packer.decompress(made, scheme)["weight"].float()
        else:  # what it multiplies in bf16
            codes = unpack_fp4_from_uint8(made["weight_packed"], *w.shape).float()
            values[name] = codes * (made["weight_scale"].float() / every).repeat_interleave(16, 1)
        parts |= {f"{name}.{suffix}": t for suffix, t in made.items()}
        groups[f"group_{i}"] = json.loads(scheme.model_dump_json(exclude_none=True))
    return parts, values, {"quantization_config": {"quant_method": "compressed-tensors", "format": "mixed-precision",
                                                   "quantization_status": "compressed", "config_groups": groups}}


SAVERS = {
    "bnb_int8": bitsandbytes(load_in_8bit=True),
    "bnb_fp4": bitsandbytes(load_in_4bit=True, bnb_4bit_quant_type="fp4", bnb_4bit_use_double_quant=True),
    "bnb_nf4": bitsandbytes(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    "hqq": hqq,
    "mlx": mlx,
    "compressed": compressed,
}


class Packed:
    """The tensors that replace "<layer>.weight", and the weights that the package itself makes of them."""

    def __init__(self, model: PreTrainedModel, args: argparse.Namespace):
        layers = {name: module for name, module in model.named_modules()
                  if isinstance(module, torch.nn.Linear) and "lm_head" not in name}
        parts, values, self.config = SAVERS[args.saved](model, layers)
        self.tensors: Parts = {name: t.contiguous() for name, t in parts.items()}
        self.weights: Parts = {f"{name}.weight": value.reshape(layers[name].weight.shape) for name, value in values.items()}
        with torch.no_grad():
            for name, layer in layers.items():
                layer.weight.copy_(self.weights[f"{name}.weight"])
        self.misread = {"pairs of columns swapped": {n: v.reshape(-1, 2).flip(1).reshape(v.shape) for n, v in self.weights.items()}}
