#!/usr/bin/env python3
"""Trains the demo model from scratch on the CPU and writes it as a Hugging Face directory.

    python train.py --out DIR              train; the same seed and thread count give the same model
    python train.py --out DIR --resume     go on from the last checkpoint in DIR
    python train.py --eval DIR             print the held-out accuracy of a model

Needs torch, tokenizers, safetensors and jinja2; --eval also needs transformers. It uses no network.
"""

import argparse
import json
import os
import random
import re
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads starve each other on a busy machine

import jinja2
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from model import Llama, Shape
from muon import Muon
from text import Text

HERE = Path(__file__).parent
BOS, END, PAD = "<|begin|>", "<|end|>", "<|pad|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
MARKS = ("<tool_call>", "</tool_call>")  # tokens of their own, but part of the text
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
IGNORE = -100

VOCABULARY = 1024
ROWS, LATE_ROWS, LENGTH = 12, 8, 256
STEPS, EARLY_STEPS = 1550, 1100
WARMUP, FALL = 50, 350
MUON_RATE, ADAM_RATE = 4e-3, 3e-3
LOG_EVERY, SAVE_EVERY = 20, 50

TEMPLATE = (HERE / "chat_template.jinja").read_text()


class Renderer:
    """Documents to text, through the chat template."""

    def __init__(self):
        environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
        environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
        self._template = environment.from_string(TEMPLATE)

    def __call__(self, document):
        if "story" in document:
            return BOS + document["story"] + END
        return self._template.render(bos_token=BOS, **document)


def train_tokenizer(text, render, seed, vocab_size):
    rng = random.Random(f"{seed}/tokenizer")
    specials = [BOS, END, PAD, *ROLES]
    between = re.compile("|".join(map(re.escape, (*specials, *MARKS))))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(specials) - len(MARKS),
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator((between.split(render(text.document(rng))) for _ in range(20000)), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKS])
    begin = (BOS, tokenizer.token_to_id(BOS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[begin]
    )
    return tokenizer


class Batches:
    """Documents packed into rows. The batch of a step depends only on the seed and the step."""

    def __init__(self, text, render, tokenizer, seed, rows, length):
        self._text, self._render, self._tokenizer, self._seed = text, render, tokenizer, seed
        self._rows, self._length = rows, length
        self._end = tokenizer.token_to_id(END)
        self._assistant = tokenizer.token_to_id("<|assistant|>")
        self._pad = tokenizer.token_to_id(PAD)

    def labels(self, tokens, is_story):
        """What each position should predict: the assistant's words and the mark that ends them."""
        labels, speaking = [], is_story
        for token, following in zip(tokens, tokens[1:] + [self._pad]):
            speaking = is_story or token == self._assistant or (speaking and token != self._end)
            labels.append(following if speaking and following != self._pad else IGNORE)
        return labels

    def _document(self, rng):
        document = self._text.document(rng)
        tokens = self._tokenizer.encode(self._render(document), add_special_tokens=False).ids
        return tokens, self.labels(tokens, "story" in document)

    def batch(self, step):
        rng = random.Random(f"{self._seed}/{step}")
        rows = [([], [], []) for _ in range(self._rows)]
        for number in range(1, 100 * self._rows):
            tokens, labels = self._document(rng)
            row = next((row for row in rows if len(row[0]) + len(tokens) <= self._length), None)
            if row is None:
                break
            row[0].extend(tokens)
            row[1].extend(labels)
            row[2].extend([number] * len(tokens))
        return tuple(
            self._filled([row[part] for row in rows], value) for part, value in enumerate((self._pad, IGNORE, 0))
        )

    def _filled(self, rows, value):
        return torch.tensor([row + [value] * (self._length - len(row)) for row in rows])


def optimizers(model):
    """Muon for the matrices of the blocks, AdamW for the embedding and the norms."""
    matrices = [weight for weight in model.layers.parameters() if weight.dim() == 2]
    others = [weight for weight in model.parameters() if not any(weight is matrix for matrix in matrices)]
    return (
        Muon(matrices, lr=MUON_RATE),
        torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0),
    )


def rate_factor(step, steps):
    """Warm up, stay, and fall to zero over the last steps."""
    return min((step + 1) / WARMUP, 1.0, (steps - step) / FALL)


def write_model(model, tokenizer, out):
    out.mkdir(parents=True, exist_ok=True)
    save_file(model.hf_weights(), out / "model.safetensors", metadata={"format": "pt"})
    bos, end, pad = (tokenizer.token_to_id(token) for token in (BOS, END, PAD))
    files = {
        "config.json": model.shape.hf_config(bos, end, pad),
        "generation_config.json": {"bos_token_id": bos, "eos_token_id": end, "pad_token_id": pad, "do_sample": False},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BOS,
            "eos_token": END,
            "pad_token": PAD,
            "model_max_length": model.shape.max_position_embeddings,
            "clean_up_tokenization_spaces": False,
            "chat_template": TEMPLATE,
        },
        "special_tokens_map.json": {"bos_token": BOS, "eos_token": END, "pad_token": PAD},
    }
    for name, content in files.items():
        (out / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    tokenizer.save(str(out / "tokenizer.json"))


def save_checkpoint(path, model, chain, step):
    state = {"model": model.state_dict(), "chain": [optimizer.state_dict() for optimizer in chain], "step": step}
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def load_checkpoint(path, model, chain):
    state = torch.load(path)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(chain, state["chain"]):
        optimizer.load_state_dict(saved)
    return state["step"]


def train(arguments):
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    text, render = Text(arguments.seed), Renderer()
    tokenizer = train_tokenizer(text, render, arguments.seed, VOCABULARY)
    model = Llama(Shape(tokenizer.get_vocab_size()))
    print(f"{sum(weight.numel() for weight in model.parameters())} parameters, vocabulary {model.shape.vocab_size}")
    chain = optimizers(model)
    base = [optimizer.param_groups[0]["lr"] for optimizer in chain]
    checkpoint = arguments.out / "checkpoint.pt"
    first = load_checkpoint(checkpoint, model, chain) if arguments.resume else 0
    early = Batches(text, render, tokenizer, arguments.seed, ROWS, LENGTH)
    late = Batches(Text(arguments.seed, late=True), render, tokenizer, arguments.seed, LATE_ROWS, LENGTH)
    arguments.out.mkdir(parents=True, exist_ok=True)
    started, losses = time.monotonic(), []
    for step in range(first, arguments.steps):
        for optimizer, rate in zip(chain, base):
            optimizer.param_groups[0]["lr"] = rate * rate_factor(step, arguments.steps)
        tokens, labels, document = (early if step < EARLY_STEPS else late).batch(step)
        wanted = labels != IGNORE
        loss = F.cross_entropy(model(tokens, document, wanted), labels[wanted])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in chain:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
        done = step + 1
        if done % LOG_EVERY == 0 or done == arguments.steps:
            seconds = time.monotonic() - started
            print(f"step {done} loss {sum(losses) / len(losses):.4f} seconds {seconds:.0f}", flush=True)
            losses.clear()
        if done % SAVE_EVERY == 0 or done == arguments.steps:
            save_checkpoint(checkpoint, model, chain, done)
            write_model(model, tokenizer, arguments.out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the model goes")
    parser.add_argument("--eval", type=Path, metavar="DIR", help="evaluate a model instead of training one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    if arguments.eval:
        import evaluate

        evaluate.report(arguments.eval)
    elif arguments.out:
        train(arguments)
    else:
        parser.error("--out or --eval is needed")


if __name__ == "__main__":
    main()
