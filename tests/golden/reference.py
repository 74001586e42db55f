"""What transformers computes with a checkpoint, and whether that makes a good test."""

import copy
import itertools
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

TOLERANCE = 1e-4  # of the logit range: what a test allows
MIN_GAP = 10 * TOLERANCE  # between the two best tokens of any row
MIN_CONTROL = 20 * TOLERANCE  # that switching an option off must move some logit
MIN_DISTINCT = 8  # different tokens in 32 greedy ones


def load(path: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()


@torch.no_grad()
def logits(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """[len(ids), vocab], the whole prompt at once and no cache."""
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()


def greedy(model: PreTrainedModel, ids: list[int], count: int) -> tuple[list[int], torch.Tensor]:
    """`count` tokens, end-of-text taken like any other, and the row of logits each was chosen from."""
    ids, rows = list(ids), []
    for _ in range(count):
        rows.append(logits(model, ids)[-1])
        ids.append(int(rows[-1].argmax()))
    return ids[-count:], torch.stack(rows)


def judge(model: PreTrainedModel, lengths: list[int], count: int, seed: int,
          misread: dict[str, dict[str, torch.Tensor]]) -> tuple[dict, dict, str]:
    """(entries of golden.json, tensors of golden.safetensors, why the draw is no good or ""). `misread`: other weights that the
    case must tell from its own."""
    random = torch.Generator().manual_seed(seed + 1_000_000)
    prompts = [torch.randint(3, model.config.vocab_size, (n,), generator=random).tolist() for n in lengths]
    rows = [logits(model, ids) for ids in prompts]
    span = float(torch.cat(rows).max() - torch.cat(rows).min())
    if min(gap(r) for r in rows) < MIN_GAP * span:
        return {}, {}, "gap"
    continuations = [greedy(model, ids, count) for ids in prompts]
    min_gap = min(gap(r) for r in rows + [c[1] for c in continuations])
    if min_gap < MIN_GAP * span:
        return {}, {}, "gap"
    if min(len(set(c[0])) for c in continuations) < min(MIN_DISTINCT, count):
        return {}, {}, "repeats"
    longest = max(range(len(prompts)), key=lambda i: lengths[i])
    controls = {}
    for name, other in itertools.chain(variants(model), ((n, with_weights(model, w)) for n, w in misread.items())):
        moved = float((logits(other, prompts[longest]) - rows[longest]).abs().max()) / span
        if moved < MIN_CONTROL:
            return {}, {}, f"control {name}"
        controls[name] = round(moved, 4)
    tensors = {f"logits.{i}": r for i, r in enumerate(rows)}
    tensors[f"steps.{longest}"] = continuations[longest][1]
    golden = {
        "tolerance": TOLERANCE,
        "logit_range": span,
        "min_gap": min_gap / span,
        "controls": controls,
        "cases": [{"ids": ids, "greedy": c[0]} for ids, c in zip(prompts, continuations)],
    }
    return golden, tensors, ""


def gap(rows: torch.Tensor) -> float:
    """Smallest distance between the best and the second best of a row."""
    best = rows.topk(2, dim=-1).values
    return float((best[:, 0] - best[:, 1]).min())


def with_weights(model: PreTrainedModel, weights: dict[str, torch.Tensor]) -> PreTrainedModel:
    other = copy.deepcopy(model)
    other.load_state_dict(other.state_dict() | weights)
    return other


def variants(model: PreTrainedModel):
    """(option, the same model without it) for each option the model has on: the case must tell the two apart."""
    config = model.config
    rope = config.rope_parameters

    def changed(weights=None, **values) -> PreTrainedModel:
        c = copy.deepcopy(config)
        for key, value in values.items():
            setattr(c, key, value)
        other = AutoModelForCausalLM.from_config(c, dtype=torch.float32, attn_implementation="eager").eval()
        state = model.state_dict()
        other.load_state_dict({n: weights(n, t) if weights else t for n, t in state.items()})
        return other

    yield "rms_norm_eps", changed(rms_norm_eps=1e-6)
    yield "rope_theta", changed(rope_parameters=rope | {"rope_theta": rope["rope_theta"] / 4})
    if rope["rope_type"] != "default":
        yield "rope_scaling", changed(rope_parameters={"rope_type": "default", "rope_theta": rope["rope_theta"]})
    if used := getattr(config, "num_experts_per_tok", None):
        yield "num_experts_per_tok", changed(num_experts_per_tok=used - 1)
        yield "router", changed(lambda n, t: t * 0 if ".mlp.gate." in n else t)
        yield "experts", changed(lambda n, t: t.flip(0) if ".experts." in n else t)
    if hasattr(config, "norm_topk_prob"):
        yield "norm_topk_prob", changed(norm_topk_prob=not config.norm_topk_prob)
    window = getattr(config, "sliding_window", None)
    types = getattr(config, "layer_types", None)
    if window and not types and config.model_type != "llama":  # Llama ignores the key
        yield "sliding_window", changed(sliding_window=None)
        yield "sliding_window + 1", changed(sliding_window=window + 1)
    elif window and "sliding_attention" in (types or ()) and config.model_type != "llama":
        yield "sliding_window", changed(layer_types=["full_attention"] * len(types))
        yield "sliding_window + 1", changed(sliding_window=window + 1)
        if len(set(types)) > 1:
            yield "layer_types", changed(layer_types=["sliding_attention"] * len(types))
    names = [n for n, _ in model.named_parameters()]
    for part in ("self_attn", "mlp"):
        if any(part in n and n.endswith("bias") for n in names):
            yield f"{part} bias", changed(lambda n, t: t * 0 if part in n and n.endswith("bias") else t)
    for part in ("q_norm", "k_norm"):
        if any(part in n for n in names):
            yield part, changed(lambda n, t: t * 0 + 1 if part in n else t)


def write(golden: dict, tensors: dict[str, torch.Tensor], out: Path) -> None:
    save_file({n: t.contiguous() for n, t in tensors.items()}, out / "golden.safetensors")
    cases = ",\n".join("    " + json.dumps(c) for c in golden.pop("cases"))
    head = json.dumps(golden, indent=2).removesuffix("\n}")
    (out / "golden.json").write_text(f'{head},\n  "cases": [\n{cases}\n  ]\n}}\n')
