"""Draws a tiny random checkpoint and writes it the way checkpoints are published."""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
FORMS = ("classic", "classic-type", "rope_parameters")

# Standard deviation of a linear layer's output for an input of deviation 1. Sharp q and k make attention choose,
# a strong down_proj and o_proj make every layer count beside the embedding.
# A strong router chooses clearly.
GAINS = {"q_proj": 1.6, "k_proj": 1.6, "o_proj": 1.5, "down_proj": 2.0, "lm_head": 3.0, "mlp.gate.": 3.0}


def config_values(args: argparse.Namespace) -> dict:
    """Keyword arguments of the transformers config class."""
    rope = {"rope_type": "default", "rope_theta": args.rope_theta}
    if args.rope_scaling == "linear":
        rope |= {"rope_type": "linear", "factor": args.rope_factor}
    elif args.rope_scaling == "llama3":
        rope |= {"rope_type": "llama3", "factor": args.rope_factor, "low_freq_factor": args.rope_low,
                 "high_freq_factor": args.rope_high, "original_max_position_embeddings": args.rope_original}
    values = {
        "vocab_size": args.vocab,
        "hidden_size": args.hidden,
        "intermediate_size": args.intermediate,
        "num_hidden_layers": args.layers,
        "num_attention_heads": args.heads,
        "num_key_value_heads": args.kv_heads or args.heads,
        "head_dim": args.head_dim or args.hidden // args.heads,
        "rms_norm_eps": args.eps,
        "max_position_embeddings": args.max_position,
        "tie_word_embeddings": args.tied,
        "rope_parameters": rope,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    if args.arch == "qwen2":
        del values["head_dim"]  # Qwen2 has no such option
    if args.attention_bias:
        values["attention_bias"] = True
    if args.mlp_bias:
        values["mlp_bias"] = True
    if args.arch in ("mistral", "mixtral") or args.sliding_window:
        values["sliding_window"] = args.sliding_window
    if args.arch.startswith("qwen") and args.sliding_window:
        values["use_sliding_window"] = not args.window_off
        values["max_window_layers"] = args.max_window_layers
    if args.experts:
        values["num_local_experts" if args.arch == "mixtral" else "num_experts"] = args.experts
        values["num_experts_per_tok"] = args.experts_used
        if args.expert_intermediate:
            values["moe_intermediate_size"] = args.expert_intermediate
    for item in args.set:
        key, _, value = item.partition("=")
        values[key] = json.loads(value)
    return values


def draw(args: argparse.Namespace, seed: int) -> PreTrainedModel:
    """A model with random weights that the stored type holds exactly."""
    config = AutoConfig.for_model(args.arch, **config_values(args))
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    random = torch.Generator().manual_seed(seed)
    dtype = DTYPES[args.dtype]
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_((torch.randn(p.shape, generator=random) * deviation(name, p, args.tied) + mean(name)).to(dtype).float())
    return model


def mean(name: str) -> float:
    return 1.0 if "norm" in name and name.endswith("weight") else 0.0


def deviation(name: str, p: torch.Tensor, tied: bool) -> float:
    if name.endswith("bias"):
        return 0.5
    if p.dim() == 1:
        return 0.25
    if "embed" in name:
        return 2.0 / p.shape[1] ** 0.5 if tied else 1.0
    gain = next((g for key, g in GAINS.items() if key in name), 1.0)
    return gain / p.shape[-1] ** 0.5


def write(model: PreTrainedModel, args: argparse.Namespace, out: Path, packed=None) -> None:
    """config.json, generation_config.json and the weights, in one file or several; those in `packed` (gptq.py) in their parts."""
    config = config_json(model, args) | (packed.config if packed else {})
    write_json(out / "config.json", {key: value for key, value in config.items() if key not in args.drop})
    write_json(out / "generation_config.json",
               {"bos_token_id": 1, "eos_token_id": 2, "do_sample": True, "temperature": 0.6, "top_p": 0.9})
    # transformers 5 fuses experts in memory and takes them apart again in save_pretrained, as published files have them
    state = model.state_dict() if args.fused_experts else revert_weight_conversion(model, model.state_dict())
    tensors = {n: t.detach().to(DTYPES[args.dtype]).contiguous() for n, t in state.items()}
    if args.tied:
        tensors.pop("lm_head.weight", None)
    if hasattr(packed, "write"):
        packed.write(tensors, out)
        return
    if packed:
        tensors = {n: t for n, t in tensors.items() if n not in packed.weights} | packed.tensors
    if args.shards <= 1:
        save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
        return
    names = list(tensors)
    per_shard = -(-len(names) // args.shards)
    weight_map = {}
    for i in range(args.shards):
        file = f"model-{i + 1:05d}-of-{args.shards:05d}.safetensors"
        part = {n: tensors[n] for n in names[i * per_shard:(i + 1) * per_shard]}
        save_file(part, out / file, metadata={"format": "pt"})
        weight_map |= {n: file for n in part}
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    write_json(out / "model.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))})


def config_json(model: PreTrainedModel, args: argparse.Namespace) -> dict:
    """The config as transformers 5 saves it, or in the spelling that nearly every published checkpoint has."""
    dtype = str(DTYPES[args.dtype]).removeprefix("torch.")
    saved = json.loads(model.config.to_json_string()) | {"architectures": [type(model).__name__], "dtype": dtype}
    if args.config_form == "rope_parameters":
        return saved
    asked = config_values(args)
    rope = asked.pop("rope_parameters")
    saved |= asked  # a window that is off is kept, as the Qwen2 checkpoints do
    for key in ("rope_parameters", "layer_types", "dtype"):
        saved.pop(key, None)
    if args.arch != "qwen3" and saved.get("head_dim") == args.hidden // args.heads:
        del saved["head_dim"]
    if args.arch == "llama" and saved["num_key_value_heads"] == args.heads:
        del saved["num_key_value_heads"]
    if "num_experts" in asked:
        saved.pop("num_local_experts", None)  # the name in transformers 5
    saved |= {"torch_dtype": dtype, "rope_theta": rope.pop("rope_theta"), "rope_scaling": None}
    if args.rope_scaling != "none":
        if args.config_form == "classic-type":
            rope = {"type": rope.pop("rope_type"), **rope}
        saved["rope_scaling"] = rope
    return dict(sorted(saved.items()))


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
