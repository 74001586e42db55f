#!/usr/bin/env python3
"""What each weight format costs the bundled model: writes docs/formats.md.

    format_table.py [--gale build/release/gale] [--stories 250] [--only q4_k,q2_k]

The text is stories that the model's own generator invents, from a seed that its training did not use; the importance matrix is
of other stories. Of every type that can be made: bits per weight as it is loaded, perplexity, and the mean KL divergence from the
model as it is bundled, without and with the importance matrix.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WINDOW = "256"
HEAD = """# Weight formats on the bundled model

Written by `tools/format_table.py`: {windows} windows of {window} tokens, of which the second halves are scored ({tokens} tokens), of
stories that the model was not trained on but whose kind it knows. The bundled model is q8_0, so all but q8_0 and wider types have
been rounded twice. Bits are those in memory, of the matrices without vectors and norms. KL is the mean divergence, in nats, from the model
as it is bundled; "weighted" is with an importance matrix (`gale imatrix`) of other such stories, or for gptq2 to gptq8
calibrated by them (`--calibrate`) instead of by the text that is built in. Standard errors are behind ±.
A model of 2.6 million weights suffers far more from few bits than one of billions.

| type | bits | perplexity | KL | KL weighted | same top token |
|---|---|---|---|---|---|
"""

NOTES = """
## Types and files

| type | GGUF | folder, in the form of |
|---|---|---|
| q1_0 to q8_k, iq2 to iq4, tq, mxfp4, nvfp4 and the mixes | yes | - |
| f32, f16, bf16 | yes | plain safetensors |
| gptq2, gptq3, gptq4, gptq8 | - | GPTQ: `checkpoint_format` gptq (v1), groups of 128, symmetric, `g_idx` in order |
| nf4, fp4 | - | bitsandbytes 4 bits: `absmax`, `quant_map`, `quant_state`, blocks of 64, not nested |
| int8 | - | bitsandbytes LLM.int8: `SCB` |
| hqq1 to hqq8 | - | HQQ as `HQQLinear.state_dict` has it, axis 1, groups of 64 |
| afq2 to afq8 | - | MLX affine, groups of 64, experts stacked under `switch_mlp` |
| fp8 | - | compressed-tensors `float-quantized`: a scale for each output, activations dynamic |
| fp8_block | - | DeepSeek's: `quant_method` fp8, `weight_scale_inv` for 128 x 128 |
| f8q8 | - | none: mistral.rs keeps it in UQFF only. int8 and q8_0 come nearest |

All of them are written packed (`.gale`) too. A folder leaves embedding, head and routers as they are (bf16 where the source has no plain floats), and
lists them where its config has a place for that; in MLX's embedding and head are quantized, heads to 6 bits at least, while `--quant` and `.gale` give
embeddings the type itself and heads q6_k at least. Beyond that a folder has, bit by bit, the weights and logits of the packed model. A matrix whose columns
the form does not divide stays plain, which is said. Of a GGUF's tokenizer a tokenizer.json is made where it is a BPE, and refused otherwise. Norms of a
GGUF are f32 and stay so: transformers, which leaves them as they are beside quantized weights, wants `module.to(torch.bfloat16)` of each norm then.

## What is computed otherwise than where the files come from

- **LLM.int8** (bitsandbytes int8, `SCB`). bitsandbytes looks at the whole batch: columns in which any row has a value above its threshold of 6 are
  outliers, multiplied in 16 bits with the weights read back from int8, and what is left of a row is rounded to int8 under one scale for
  all of its columns. What a row comes to then depends on the rows beside it. Here the weights are the same int8 numbers under the same
  scale for each output, there are no outliers, and inputs are rounded under a scale for every 32 columns of a row, so that a large value
  takes precision from the 31 beside it and from no others. A row comes to the same alone and in any batch; with `--precision exact` no input
  is rounded at all. So logits differ from bitsandbytes' by what rounding inputs costs either of them.
- **FP8 with activation scales** (static or dynamic, compressed-tensors' w8a8 too). Weights are the file's; its scales for activations are not used:
  inputs go in as bf16 to FP8 weights, and to int8 ones as above.
- **GPTQ**. Whether zeros are stored one lower than they mean is said by `checkpoint_format` in `config.json` or `quantize_config.json`; without the
  key it is so (`gptq`), as AutoGPTQ, GPTQModel and transformers take it, but for zeros that are all in the middle, which only `gptq_v2` has. Where there is no config at all, bits follow from shapes, and the form from the zeros where all are in the
  middle (symmetric), else from the codes, which scatter around their zeros; where these do not tell, as with 8 bits, the checkpoint is
  refused with the file that would help. GPTQModel's `dynamic` is checked against each module's tensors.
- **A packed file** (`.gale`) has lost nothing: `--quant` and `gale quantize` take it like what it was packed from, and say once that it is rounded twice.
"""


def stories(seed: int, count: int) -> str:
    sys.path.insert(0, str(ROOT / "models/demo"))
    from text import Text

    text, rng = Text(seed), random.Random(seed)
    return "".join(f"<|begin|>{text.plain_story(rng)['story']}<|end|>" for _ in range(count))


def run(gale: Path, *args: str) -> dict:
    done = subprocess.run([str(gale), *args, "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"gale {' '.join(args)}: {done.stderr}")
    return json.loads(done.stdout)


def row_of(bits: float, name: str, plain: dict, weighted: dict | None) -> str:
    kl = f"{weighted['kl_divergence']:.4f} ± {weighted['kl_divergence_error']:.4f}" if weighted else ""
    return (f"| {name} | {bits:.2f} | {plain['perplexity']:.4f} | {plain['kl_divergence']:.4f} ± "
            f"{plain['kl_divergence_error']:.4f} | {kl} | {100 * plain['top1_agreement']:.1f} % |\n")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--gale", type=Path, default=ROOT / "build/release/gale")
    p.add_argument("--stories", type=int, default=250)
    p.add_argument("--only", help="types, by commas")
    args = p.parse_args()
    formats = [f["name"] for f in run(args.gale, "doctor")["formats"] if f["can_write"]]
    if args.only:
        formats = args.only.split(",")
    rows, shown = [], {}
    with tempfile.TemporaryDirectory() as folder:
        evaluation, calibration, matrix = (Path(folder) / name for name in ("eval.txt", "calibration.txt", "imatrix.gguf"))
        evaluation.write_text(stories(1001, args.stories))
        calibration.write_text(stories(2002, args.stories))
        run(args.gale, "imatrix", "-m", "demo", "-f", str(calibration), "--parse-special", "--window", WINDOW, "-o", str(matrix))
        measure = ("perplexity", "-m", "demo", "--against", "demo", "-f", str(evaluation), "--parse-special", "--window", WINDOW)
        for name in formats:
            plain = shown = run(args.gale, *measure, "--quant", name)
            weighted = run(args.gale, *measure, "--quant", name, *(["--calibrate", str(calibration)] if name.startswith("gptq") else ["--imatrix", str(matrix)]))
            moved = weighted["kl_divergence"] != plain["kl_divergence"]
            bits = run(args.gale, "quantize", "-m", "demo", "--type", name, "--packed", "-o", str(Path(folder) / "m.gale"))
            rows.append((bits["bits_per_weight"], name, plain, weighted if moved else None))
            print(row_of(*rows[-1]), end="", flush=True)
    if args.only:
        return
    out = HEAD.format(windows=shown["windows"], window=shown["window"], tokens=shown["tokens"])
    out += "".join(row_of(*row) for row in sorted(rows, key=lambda row: (-row[0], row[1])))
    (ROOT / "docs/formats.md").write_text(out + NOTES)


if __name__ == "__main__":
    main()
