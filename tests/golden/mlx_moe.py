"""A mixture of experts as mlx-lm converts it (mlx_lm/utils.py, quantize_model; models/mixtral.py and qwen3_moe.py, sanitize): the experts of a
layer stacked under "switch_mlp", and everything that has a matrix quantized, embedding, head and router too."""

import tempfile

import mlx.core as mx
import numpy as np
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

ROUTER = {"group_size": 64, "bits": 8}  # what Qwen3-MoE's quant_predicate asks for
EXPERTS = {"group_size": 32, "bits": 6}  # as --quant-predicate mixed_... gives single layers
NVFP4 = {"group_size": 16, "bits": 4, "mode": "nvfp4"}  # --q-mode
MXFP8 = {"group_size": 32, "bits": 8, "mode": "mxfp8"}


class Packed:
    """The tensors that replace those in `weights`, and the weights that MLX itself makes of them."""

    def __init__(self, model: PreTrainedModel, modes: bool):
        mixtral = model.config.model_type == "mixtral"
        block = "block_sparse_moe" if mixtral else "mlp"
        settings: dict = dict(NVFP4) if modes else {"group_size": 64, "bits": 4, "mode": "affine"}
        arrays: dict[str, mx.array] = {}
        self.tensors: dict[str, torch.Tensor] = {}
        self.weights: dict[str, torch.Tensor] = {}  # by the names that checkpoint.write would give them

        def quantize(name: str, w: torch.Tensor, own: dict | None) -> torch.Tensor:
            how = {key: (own or settings)[key] for key in ("group_size", "bits", "mode") if key in (own or settings)}
            if own:
                settings[name] = own
            array = mx.array(w.detach().numpy()).astype(mx.bfloat16)
            if own and own.get("global_scale"):  # mlx_lm/models/switch_layers.py, _quantize_experts: one for each expert
                largest = [mx.max(mx.abs(e)).astype(mx.float32) for e in array]
                made = [mx.quantize(e, **how, global_scale=most) for e, most in zip(array, largest)]
                values = mx.stack([mx.dequantize(*m, **how, global_scale=most, dtype=mx.float32) for m, most in zip(made, largest)])
                parts = [mx.stack([m[i] for m in made]) for i in range(2)]
                arrays.update({f"{name}.{part}": a for part, a in zip(("weight", "scales", "global_scale"), [*parts, mx.stack(largest)])})
                return torch.from_numpy(np.array(values))
            made = mx.quantize(array, **how)
            arrays.update({f"{name}.{part}": a for part, a in zip(("weight", "scales", "biases"), made)})
            if len(made) == 3:
                values = mx.dequantize(made[0], *(a.astype(mx.float32) for a in made[1:]), **how)
            else:
                values = mx.dequantize(*made, **how, dtype=mx.float32)
            return torch.from_numpy(np.array(values))

        swapped: dict[str, torch.Tensor] = {}
        with torch.no_grad():
            for name, p in model.named_parameters():
                experts, layer = ".experts." in name, next((part for part in name.split(".") if part.isdigit()), "")
                if p.dim() < 2:
                    continue
                if not experts:
                    base = name.removesuffix(".weight").replace(".mlp.gate", f".{block}.gate")
                    p.copy_(quantize(base, p, ROUTER if base.endswith(".gate") and not mixtral else None))
                    self.weights[f"{base}.weight"] = p
                    continue
                at = f"model.layers.{layer}.{block}"
                names = ("gate_proj", "up_proj") if name.endswith("gate_up_proj") else ("down_proj",)
                own = (MXFP8 if layer == "1" else NVFP4 | {"global_scale": True}) if modes else EXPERTS if layer == "1" else None
                parts = [quantize(f"{at}.switch_mlp.{n}", w, own) for n, w in zip(names, p.chunk(len(names), 1))]
                p.copy_(torch.cat(parts, 1))
                swapped[name] = torch.cat(parts[::-1], 1) if len(parts) == 2 else p.flip(0)
                published = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"} if mixtral else {n: n for n in names}
                for n in names:
                    self.weights |= {f"{at}.experts.{e}.{published[n]}.weight": p for e in range(len(p))}
        with tempfile.TemporaryDirectory() as folder:
            mx.save_safetensors(f"{folder}/model.safetensors", arrays, metadata={"format": "mlx"})
            self.tensors = {n: t.contiguous() for n, t in load_file(f"{folder}/model.safetensors").items()}
        self.config = {"quantization": settings, "quantization_config": settings}
        self.misread = {"gate and up swapped": {n: w for n, w in swapped.items() if n.endswith("gate_up_proj")}}
