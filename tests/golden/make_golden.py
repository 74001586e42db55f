#!/usr/bin/env python3
"""Make a golden case: a tiny random checkpoint and what Hugging Face transformers computes with it.

    make_golden.py --arch qwen3 --seed 7 --hidden 64 --layers 3 --tied --out /tmp/case    one new case
    make_golden.py --case llama3                                                           one committed case again
    make_golden.py --all                                                                   all of them

The logits come from the model as transformers reads it back from the written files, in float32, with eager attention and no cache.
A draw is refused, and the next seed taken, where two tokens are too close for a tolerance to tell apart, where the continuation
just repeats itself, or where an option that the case is there to test does not move the logits.
"""

import argparse
import logging
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
import transformers

import checkpoint
import gguf_file
import gptq
import mlx_moe
import quantized
import reference
import saved
import uqff
from cases import CASES

DATA = Path(__file__).resolve().parent / "data"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = p.add_argument_group("what to make")
    which.add_argument("--out", type=Path, help="directory of the new case")
    which.add_argument("--case", choices=sorted(CASES), help="a committed case, with the options of cases.py")
    which.add_argument("--all", action="store_true", help="every committed case")
    which.add_argument("--seed", type=int, default=1, help="first seed to try (default 1)")
    which.add_argument("--tries", type=int, default=1000, help="seeds to try before giving up (default 1000)")

    m = p.add_argument_group("the model")
    m.add_argument("--arch", help="model_type of transformers: llama, mistral, qwen2, qwen3 ...")
    m.add_argument("--hidden", type=int, default=64)
    m.add_argument("--intermediate", type=int, default=96)
    m.add_argument("--layers", type=int, default=2)
    m.add_argument("--heads", type=int, default=4)
    m.add_argument("--kv-heads", type=int, help="default: as many as heads")
    m.add_argument("--head-dim", type=int, help="default: hidden / heads")
    m.add_argument("--vocab", type=int, default=128)
    m.add_argument("--tied", action="store_true", help="the head is the embedding")
    m.add_argument("--attention-bias", action="store_true")
    m.add_argument("--mlp-bias", action="store_true")
    m.add_argument("--eps", type=float, default=0.01, help="rms_norm_eps; large enough that a wrong one shows (default 0.01)")
    m.add_argument("--max-position", type=int, default=512, help="max_position_embeddings")
    m.add_argument("--rope-theta", type=float, default=10000.0)
    m.add_argument("--rope-scaling", choices=("none", "linear", "llama3"), default="none")
    m.add_argument("--rope-factor", type=float, default=4.0)
    m.add_argument("--rope-original", type=int, default=64, help="llama3: original_max_position_embeddings")
    m.add_argument("--rope-low", type=float, default=1.0, help="llama3: low_freq_factor")
    m.add_argument("--rope-high", type=float, default=4.0, help="llama3: high_freq_factor")
    m.add_argument("--sliding-window", type=int, help="attention window in tokens, the token itself included")
    m.add_argument("--window-off", action="store_true", help="qwen: write the window but use_sliding_window false")
    m.add_argument("--max-window-layers", type=int, default=0, help="qwen: layers below this one have no window (default 0)")
    m.add_argument("--drop", action="append", default=[], metavar="KEY", help="a key that config.json is written without; may be repeated")
    m.add_argument("--set", action="append", default=[], metavar="KEY=JSON", help="any other config value; may be repeated")

    e = p.add_argument_group("experts")
    e.add_argument("--experts", type=int, default=0, help="in each layer (default: none)")
    e.add_argument("--experts-used", type=int, default=2, help="by each token (default 2)")
    e.add_argument("--expert-intermediate", type=int, help="qwen: width inside an expert (moe_intermediate_size)")

    q = p.add_argument_group("GPTQ of 4 bits for all linear layers but the head")
    q.add_argument("--gptq", type=int, metavar="GROUP", help="inputs under one scale, -1 for all of them (default: not quantized)")
    q.add_argument("--gptq-act-order", action="store_true", help="inputs scattered over the groups, in each layer otherwise")
    q.add_argument("--gptq-sym", action="store_true", help="zeros in the middle")
    q.add_argument("--gptq-format", choices=("gptq", "gptq_v2"), default="gptq", help="checkpoint_format (default gptq)")

    q.add_argument("--gptq-dynamic", action="store_true", help="single modules otherwise, by the rules of gptq.py")
    q.add_argument("--gptq-old", action="store_true", help="told by quantize_config.json")

    q.add_argument("--quantized", choices=sorted(quantized.FORMS), help="another format instead, for experts too")
    q.add_argument("--saved", choices=sorted(saved.SAVERS), help="as a Python package itself saves it")
    q.add_argument("--mlx-moe", nargs="?", const="affine", choices=["affine", "modes"], help="a mixture of experts as mlx-lm converts it")
    q.add_argument("--gguf", action="store_true", help="a GGUF of the types that the package gguf makes, for Llama")
    q.add_argument("--uqff", action="store_true", help="mistral.rs's container instead, each layer in another of its families")

    f = p.add_argument_group("the files")
    f.add_argument("--fused-experts", action="store_true", help="as the modules of transformers 5 hold them, not a tensor each")
    f.add_argument("--dtype", choices=sorted(checkpoint.DTYPES), default="f32", help="stored weights, exact (default f32)")
    f.add_argument("--shards", type=int, default=1, help="more than 1 writes model.safetensors.index.json")
    f.add_argument("--config-form", choices=checkpoint.FORMS, default="classic",
                   help="classic: rope_theta and rope_scaling with rope_type; classic-type: rope_scaling with type; "
                        "rope_parameters: as transformers 5 saves it")
    f.add_argument("--prompts", default="1,7,40", help="prompt lengths (default 1,7,40)")
    f.add_argument("--greedy", type=int, default=32, help="tokens to continue each prompt with (default 32)")
    return p


def make(args: argparse.Namespace, out: Path, command: str) -> None:
    """Writes the case of the first acceptable seed to `out`."""
    lengths = [int(n) for n in args.prompts.split(",")]
    refusals: dict[str, int] = {}
    for seed in range(args.seed, args.seed + args.tries):
        with tempfile.TemporaryDirectory() as scratch:
            draft = Path(scratch)
            drawn = checkpoint.draw(args, seed)
            packed = (gptq.Packed(drawn, args, seed) if args.gptq else quantized.Packed(drawn, args) if args.quantized else
                      saved.Packed(drawn, args) if args.saved else mlx_moe.Packed(drawn, args.mlx_moe == "modes") if args.mlx_moe else uqff.Packed(drawn) if args.uqff else
                      gguf_file.Packed(drawn) if args.gguf else None)
            checkpoint.write(drawn, args, draft)
            model = reference.load(draft)
            golden, tensors, refusal = reference.judge(model, lengths, args.greedy, seed, packed.misread if packed else {})
            if packed:  # transformers has read the values; what is stored are the parts
                checkpoint.write(drawn, args, draft, packed)
            if refusal:
                refusals[refusal] = refusals.get(refusal, 0) + 1
                continue
            head = {
                "format": 1,
                "name": out.name,
                "family": args.arch,
                "architecture": type(model).__name__,
                "transformers_version": transformers.__version__,
                "torch_version": torch.__version__.split("+")[0],
                "seed": seed,
                "command": command,
                "config_form": args.config_form,
                "weights_dtype": args.dtype,
            }
            reference.write(head | golden, tensors, draft)
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True)
            for file in sorted(draft.iterdir()):
                shutil.copyfile(file, out / file.name)
            size = sum(f.stat().st_size for f in out.iterdir())
            print(f"{out.name}: seed {seed}, {size // 1000} kB, gap {golden['min_gap']:.4f} of the range, "
                  f"controls {golden['controls']}, redrawn {refusals}")
            return
    sys.exit(f"error: {out.name}: no acceptable draw in {args.tries} seeds from {args.seed}: {refusals}")


def main() -> None:
    p = parser()
    args = p.parse_args()
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if args.all or args.case:
        for name in CASES if args.all else [args.case]:
            make(p.parse_args(shlex.split(CASES[name])), args.out or DATA / name, CASES[name])
        return
    if not args.arch or not args.out:
        p.error("give --arch and --out, or --case, or --all")
    words = sys.argv[1:]
    at = next(i for i, w in enumerate(words) if w.split("=")[0] == "--out")
    del words[at:at + (1 if "=" in words[at] else 2)]
    make(args, args.out.resolve(), shlex.join(words))


if __name__ == "__main__":
    main()
