#!/usr/bin/env python3
"""Experts of gpt-oss as its checkpoints hold them, and what transformers makes of them: data/gpt_oss_mxfp4 and data/gpt_oss_bf16.

    make_gpt_oss.py

A tiny random GptOssForCausalLM as save_pretrained writes it in bf16, and the same with random MXFP4 experts in the form of openai/gpt-oss-20b.
experts.safetensors holds, in bf16 that it fits into, what one expert of layer 0 multiplies its input with, found by running transformers' own GptOssExperts on
unit vectors: gate.E and up.E [intermediate, hidden], down.E [hidden, intermediate], and the biases gate_bias, up_bias [experts, intermediate].
The values of MXFP4 are those of transformers' convert_moe_packed_tensors, in f32."""

import json
import os
import shutil
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from safetensors.torch import load_file, save_file
from transformers import GptOssConfig, GptOssForCausalLM
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

DATA = Path(__file__).resolve().parent / "data"
HIDDEN, INNER, EXPERTS = 64, 96, 2
AT = "model.layers.0.mlp.experts"


def used(experts: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The matrices as the module uses them."""
    out: dict[str, torch.Tensor] = {}
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    experts._apply_gate = lambda both: seen.append((both[..., ::2], both[..., 1::2])) or both[..., ::2]
    for e in range(EXPERTS):
        def run(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            seen.clear()
            experts.forward.__wrapped__(experts, x, torch.full((len(x), 1), e), torch.ones(len(x), 1))
            return seen[0]

        bias = run(torch.zeros(1, HIDDEN))
        unit = run(torch.eye(HIDDEN))
        out[f"gate.{e}"], out[f"up.{e}"] = ((u - b).T for u, b in zip(unit, bias))
        out[f"gate_bias.{e}"], out[f"up_bias.{e}"] = (b[0] for b in bias)
        out[f"down.{e}"] = experts.down_proj[e].T
    stacked = {name: torch.stack([out.pop(f"{name}.{e}") for e in range(EXPERTS)]) for name in ("gate_bias", "up_bias")}
    return {n: t.detach().to(torch.bfloat16).contiguous() for n, t in (out | stacked).items()}


def main() -> None:
    torch.manual_seed(1)
    config = GptOssConfig(num_hidden_layers=1, num_local_experts=EXPERTS, vocab_size=32, hidden_size=HIDDEN, intermediate_size=INNER, head_dim=16,
                          num_attention_heads=4, num_key_value_heads=2, num_experts_per_tok=1, max_position_embeddings=128,
                          bos_token_id=1, eos_token_id=2, pad_token_id=0)  # fmt: skip
    model = GptOssForCausalLM(config)
    with torch.no_grad():
        for p in model.parameters():
            # 5 bits of mantissa: sums with a bias of the same kind are exact in f32, so that taking it off again is
            p.copy_((torch.randn(p.shape) * 32).round() / 32)
    model.to(torch.bfloat16)
    plain = DATA / "gpt_oss_bf16"
    shutil.rmtree(plain, ignore_errors=True)
    model.save_pretrained(plain)
    experts = model.float().model.layers[0].mlp.experts
    save_file(used(experts), plain / "experts.safetensors")

    packed = DATA / "gpt_oss_mxfp4"
    shutil.rmtree(packed, ignore_errors=True)
    packed.mkdir()
    tensors = load_file(plain / "model.safetensors")
    random = torch.Generator().manual_seed(2)
    for name, rows, columns in (("gate_up_proj", 2 * INNER, HIDDEN), ("down_proj", HIDDEN, INNER)):
        del tensors[f"{AT}.{name}"]
        blocks = torch.randint(0, 256, (EXPERTS, rows, columns // 32, 16), generator=random, dtype=torch.uint8)
        scales = torch.randint(122, 127, (EXPERTS, rows, columns // 32), generator=random, dtype=torch.uint8)
        tensors |= {f"{AT}.{name}_blocks": blocks, f"{AT}.{name}_scales": scales}
        with torch.no_grad():
            getattr(experts, name).copy_(convert_moe_packed_tensors(blocks, scales, dtype=torch.float32))
    save_file(tensors, packed / "model.safetensors", metadata={"format": "pt"})
    save_file(used(experts), packed / "experts.safetensors")
    saved = json.loads((plain / "config.json").read_text())
    saved["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": [
        "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}  # fmt: skip
    (packed / "config.json").write_text(json.dumps(saved, indent=2) + "\n")
    for folder in (plain, packed):
        (folder / "generation_config.json").unlink(missing_ok=True)
        for file in folder.iterdir():
            file.chmod(0o644)


if __name__ == "__main__":
    main()
