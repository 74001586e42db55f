#!/usr/bin/env python3
"""Folders that gale writes, read by the libraries whose form they are in: every weight as the library itself dequantizes it against what
Gale reads from the same files, and whole models in transformers and mlx-lm against Gale's logits.

    pip install torch transformers safetensors accelerate bitsandbytes hqq compressed-tensors "mlx[cpu]" mlx-lm
    GALE_BINARY=build/release/gale python3 tests/folder/folder_test.py

A test whose library is not there says "skipped: no <library>"."""

import importlib.util
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GALE = os.environ.get("GALE_BINARY", str(ROOT / "build/release/gale"))
DEMO = str(ROOT / "models/demo/gale-demo.gguf")
TEXT = "One day, a little girl named Lily found a"


def needs(*libraries):
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    return unittest.skipIf(missing, f"skipped: no {', '.join(missing)}")


def gale(*args):
    done = subprocess.run([GALE, *map(str, args)], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"gale {' '.join(map(str, args))}: {done.stderr}")
    return done.stdout


@needs("torch", "safetensors", "numpy")
class Folders(unittest.TestCase):
    def write(self, kind):
        """The bundled model as that type, and as f32 what Gale reads from it again."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        out = Path(folder.name)
        gale("quantize", "-m", DEMO, "--type", kind, "-o", out / "m")
        gale("quantize", "-m", out / "m", "--type", "f32", "-o", out / "f32")
        return out / "m", self.tensors(out / "f32")

    def tensors(self, folder):
        from safetensors.torch import load_file

        return load_file(folder / "model.safetensors")

    def compare(self, folder, want, values):
        """values(parts by suffix, shape, name) gives a weight as its library has it."""
        parts, compared = self.tensors(folder), 0
        for name, value in want.items():
            base = name.removesuffix(".weight")
            own = {n.removeprefix(base + "."): t for n, t in parts.items() if n.startswith(base + ".")}
            if len(own) < 2 or not name.endswith(".weight"):
                continue
            got = values(own, value.shape, base)
            self.assertTrue(bool((got == value).all()), f"{name}: off by {(got - value).abs().max()}")
            compared += 1
        self.assertGreater(compared, 10)

    def config(self, folder):
        return json.loads((folder / "config.json").read_text())

    @needs("bitsandbytes")
    def test_bitsandbytes_4_bits(self):
        import bitsandbytes as bnb

        for kind in ("nf4", "fp4"):
            folder, want = self.write(kind)

            def values(own, shape, _):
                own = {n.removeprefix("weight."): t for n, t in own.items()}
                state = bnb.functional.QuantState.from_dict({n: t for n, t in own.items() if n != "weight"}, "cpu")
                import torch

                state.dtype = torch.float32
                return bnb.functional.dequantize_4bit(own["weight"], state)

            self.compare(folder, want, values)

    @needs("bitsandbytes")
    def test_bitsandbytes_int8(self):
        folder, want = self.write("int8")
        # The package multiplies by its own rounded 1 / 127.
        self.compare(folder, want, lambda own, *_: own["weight"].float() * (own["SCB"] / 127.0)[:, None])
        import bitsandbytes as bnb

        parts = self.tensors(folder)
        base = "model.layers.0.mlp.up_proj"
        off = bnb.functional.int8_vectorwise_dequant(parts[base + ".weight"], parts[base + ".SCB"]) - want[base + ".weight"]
        self.assertLess(float(off.abs().max()), 1e-6)

    @needs("hqq")
    def test_hqq(self):
        import torch
        from hqq.core.quantize import HQQLinear, Quantizer

        for kind in ("hqq1", "hqq2", "hqq3", "hqq4", "hqq8"):
            folder, want = self.write(kind)

            def values(own, shape, _):
                layer = HQQLinear(None, None, compute_dtype=torch.float16, device="cpu", initialize=False)
                layer.load_state_dict(own)
                meta = layer.meta | {key: layer.meta[key].float() for key in ("scale", "zero")} | {"compute_dtype": torch.float32}
                return Quantizer.dequantize(layer.W_q, meta).reshape(shape)

            self.compare(folder, want, values)

    @needs("mlx")
    def test_mlx(self):
        import mlx.core as mx
        import numpy as np
        import torch

        for kind in ("afq2", "afq3", "afq4", "afq5", "afq6", "afq8"):
            folder, want = self.write(kind)
            arrays, settings = mx.load(str(folder / "model.safetensors")), self.config(folder)["quantization"]

            def values(own, shape, name):
                how = settings.get(name, settings)
                w, s, b = (arrays[f"{name}.{part}"] for part in ("weight", "scales", "biases"))
                value = mx.dequantize(w, s.astype(mx.float32), b.astype(mx.float32), group_size=how["group_size"], bits=how["bits"])
                return torch.from_numpy(np.array(value))

            self.compare(folder, want, values)

    def test_fp8(self):
        folder, want = self.write("fp8")
        self.compare(folder, want, lambda own, *_: own["weight"].float() * own["weight_scale"])

    @needs("compressed_tensors")
    def test_fp8_by_compressed_tensors(self):
        from compressed_tensors.compressors import BaseCompressor
        from compressed_tensors.quantization import QuantizationConfig

        folder, want = self.write("fp8")
        config = QuantizationConfig.model_validate(self.config(folder)["quantization_config"])
        scheme = config.config_groups["group_0"]
        packer = BaseCompressor.get_value_from_registry(config.format)
        self.compare(folder, want, lambda own, *_: packer.decompress(dict(own), scheme)["weight"].float())

    def test_fp8_blocks(self):
        folder, want = self.write("fp8_block")
        self.assertEqual(self.config(folder)["quantization_config"]["weight_block_size"], [128, 128])

        def values(own, shape, _):
            scale = own["weight_scale_inv"].repeat_interleave(128, 0).repeat_interleave(128, 1)
            return own["weight"].float() * scale[: shape[0], : shape[1]]

        self.compare(folder, want, values)

    def test_gptq(self):
        """By the definition: AutoGPTQ's qlinear_cuda_old, zeros stored one lower."""
        import numpy as np
        import torch

        def unpack(words, bits, n):  # along the first dimension, over the borders of words
            stream = words.numpy().view(np.uint32)
            at = np.arange(n) * bits
            low, shift = stream[at // 32].astype(np.uint64), (at % 32).astype(np.uint64)[:, None]
            high = stream[np.minimum(at // 32 + 1, len(stream) - 1)].astype(np.uint64)
            return ((low | high << np.uint64(32)) >> shift & np.uint64((1 << bits) - 1)).astype(np.int64)

        for bits in (2, 3, 4, 8):
            folder, want = self.write(f"gptq{bits}")
            settings = self.config(folder)["quantization_config"]
            self.assertEqual((settings["bits"], settings["checkpoint_format"]), (bits, "gptq"))

            def values(own, shape, _):
                codes = unpack(own["qweight"], bits, shape[1])
                zeros = unpack(own["qzeros"].T.contiguous(), bits, shape[0]).T + 1
                group = own["g_idx"].long()
                value = own["scales"].float()[group] * torch.from_numpy(codes - zeros[group]).float()
                return value.T

            self.compare(folder, want, values)

    def against_gale(self, folder, logits):
        """logits(token ids), [positions, vocabulary], of a library that rounds activations its own way: close."""
        import torch

        ids = self.ids(folder)
        want = torch.tensor(json.loads(gale("logits", "-m", folder, "--tokens", ",".join(map(str, ids)), "--precision", "exact", "--json"))["logits"])
        got = logits(ids)
        away = torch.nn.functional.kl_div(got.log_softmax(-1), want.log_softmax(-1), log_target=True, reduction="none").sum(-1).mean()
        self.assertLess(float(away), 0.01)
        self.assertGreater(float((got.argmax(-1) == want.argmax(-1)).float().mean()), 0.9)

    def ids(self, folder):
        return [int(id) for id in gale("tokenize", "-m", folder, "--ids", TEXT).replace(",", " ").split()]

    @needs("transformers", "bitsandbytes", "accelerate")
    def test_transformers_runs_it(self):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        for kind in ("bf16", "nf4", "fp4", "int8"):
            folder, _ = self.write(kind)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, device_map="cpu")
            for module in model.modules():  # f32 in a GGUF, which transformers leaves as they are beside quantized weights
                if "RMSNorm" in type(module).__name__:
                    module.to(torch.bfloat16)

            def logits(ids):
                with torch.no_grad():
                    return model(torch.tensor([ids])).logits[0].float()

            with self.subTest(kind):
                self.against_gale(folder, logits)
                tokenizer = AutoTokenizer.from_pretrained(folder)
                self.assertEqual(tokenizer(TEXT)["input_ids"], self.ids(folder))

    @needs("mlx_lm", "mlx")
    def test_mlx_lm_runs_it(self):
        import mlx.core as mx
        import numpy as np
        import torch
        from mlx_lm.utils import load_model

        for kind in ("afq4", "afq6"):
            folder, _ = self.write(kind)
            model, _ = load_model(folder)
            with self.subTest(kind):
                self.against_gale(folder, lambda ids: torch.from_numpy(np.array(model(mx.array([ids]))[0].astype(mx.float32))))


if __name__ == "__main__":
    unittest.main()
