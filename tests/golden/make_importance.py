#!/usr/bin/env python3
"""What goes into every linear layer of golden cases, by transformers: importance.safetensors beside the case.

    make_importance.py llama3 mixtral qwen3_moe

For each module `sums.MODULE` f32 [matrices, columns], the squares of its inputs summed over the longest prompt of the case, and
`counts.MODULE` f32 [matrices], the rows; of experts one matrix each, by what is routed to them.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

import reference

DATA = Path(__file__).resolve().parent / "data"


@torch.no_grad()
def collect(case: Path) -> dict[str, torch.Tensor]:
    model = reference.load(case)
    ids = max((c["ids"] for c in json.loads((case / "golden.json").read_text())["cases"]), key=len)
    out: dict[str, torch.Tensor] = {}

    def note(name: str, squares: torch.Tensor, counts: torch.Tensor) -> None:
        out[f"sums.{name}"], out[f"counts.{name}"] = squares.float().contiguous(), counts.float()

    def linear(name: str):
        def hook(module, args):
            x = args[0].double().reshape(-1, args[0].shape[-1])
            note(name, x.square().sum(0, keepdim=True), torch.tensor([x.shape[0]]))
        return hook

    def experts(name: str):
        def hook(module, args, kwargs):
            hidden, chosen = (list(args) + list(kwargs.values()))[:2]
            hidden = hidden.double().reshape(-1, hidden.shape[-1])
            n, width = module.gate_up_proj.shape[0], module.gate_up_proj.shape[1] // 2
            into, inside = torch.zeros(n, hidden.shape[-1], dtype=torch.double), torch.zeros(n, width, dtype=torch.double)
            counts = torch.zeros(n)
            for e in range(n):
                x = hidden[(chosen == e).any(-1).reshape(-1)]
                gate, up = (x @ module.gate_up_proj[e].double().T).chunk(2, dim=-1)
                into[e], inside[e] = x.square().sum(0), (torch.nn.functional.silu(gate) * up).square().sum(0)
                counts[e] = x.shape[0]
            note(f"{name}.gate_proj", into, counts)
            note(f"{name}.up_proj", into.clone(), counts.clone())
            note(f"{name}.down_proj", inside, counts.clone())
        return hook

    for name, module in model.named_modules():
        if hasattr(module, "gate_up_proj"):
            module.register_forward_pre_hook(experts(name), with_kwargs=True)
        elif type(module).__name__.endswith("Router"):
            module.register_forward_pre_hook(linear(name))
        elif isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(linear(name))
    reference.logits(model, ids)
    return out


if __name__ == "__main__":
    for case in sys.argv[1:]:
        save_file(collect(DATA / case), DATA / case / "importance.safetensors")
