"""What tests of `gale ... -m org/name` share: a fake hub, an empty cache and small repositories."""

import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from fake_hub import FakeHub, File, Repo, git_sha1  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent.parent
GALE = Path(os.environ.get("GALE_BINARY", ROOT / "build/release/gale"))
LLAMA = ROOT / "tests/golden/data/llama3"
DEMO = (ROOT / "models/demo/gale-demo.gguf").read_bytes()
CONFIG = (LLAMA / "config.json").read_bytes()
WEIGHTS = (LLAMA / "model.safetensors").read_bytes()
HUB_PYTHON = os.environ.get("GALE_HUB_PYTHON", sys.executable)
MIB = 1 << 20


def safetensors(tensors):
    header, at = {}, 0
    for name, data in tensors.items():
        header[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(tensors.values())


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def tokenizer_files():
    letters = [chr(c) for c in range(0x21, 0x7F)] + ["\u0120", "\u010a"]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    text = json.dumps({"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": level, "post_processor": None,
                       "decoder": level, "model": {"type": "BPE", "vocab": {c: i for i, c in enumerate(letters)}, "merges": []}})
    template = "{% for m in messages %}{{ m.role }}:{{ m.content }}{% endfor %}"
    return {"tokenizer.json": text.encode(), "tokenizer_config.json": json.dumps({"chat_template": template}).encode()}


class HubTest(unittest.TestCase):
    def setUp(self):
        self.hub = FakeHub()
        self.home = Path(tempfile.mkdtemp(prefix="gale-hub-"))
        self.cache = self.home / "hub"

    def tearDown(self):
        self.hub.close()
        shutil.rmtree(self.home)

    def environment(self, env=()):
        drop = ("GALE_", "HF_", "HUGGING", "TRANSFORMERS_", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
        out = {k: v for k, v in os.environ.items() if not k.startswith(drop)}
        out.update(HF_HOME=str(self.home), HF_ENDPOINT=self.hub.endpoint, NO_PROXY="*")
        out.update(dict(env))
        return out

    def start(self, *args, env=(), **kw):
        return subprocess.Popen([str(GALE), *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=self.environment(env), cwd=self.home, **kw)

    def gale(self, *args, env=(), stdin=""):
        return subprocess.run([str(GALE), *map(str, args)], input=stdin, capture_output=True, text=True, env=self.environment(env),
                              cwd=self.home, timeout=60)

    def ok(self, *args, **kw):
        result = self.gale(*args, **kw)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def fails(self, *args, says=(), code=1, **kw):
        result = self.gale(*args, **kw)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        last = result.stderr.splitlines()[-1]
        self.assertTrue(last.startswith("error: "), result.stderr)
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, last)
        return result

    def add(self, name, files, **kw):
        repo = self.hub.repos[name] = Repo(files, **kw)
        return repo

    def add_model(self, name="org/model", **more):
        """A checkpoint that opens, with what a repository has beside it."""
        return self.add(name, {"config.json": CONFIG, "model.safetensors": WEIGHTS, **more})

    def add_large(self, size=40 * MIB):
        repo = self.add("org/large", {"config.json": CONFIG, "model.safetensors": safetensors({"x": noise(size)})})
        return repo, repo.files["model.safetensors"]

    def folder(self, name="org/model"):
        return self.cache / ("models--" + name.replace("/", "--"))

    def snapshot(self, repo, name="org/model"):
        root = self.folder(name) / "snapshots" / repo.commit
        return {str(p.relative_to(root)): p for p in root.rglob("*") if p.is_file()}

    def leftovers(self):
        return [p for p in self.cache.rglob("*") if "incomplete" in p.name or ".tmp" in p.name]

    def whole(self, repo, file, name="org/large", at="model.safetensors"):
        path = self.snapshot(repo, name)[at]
        self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), hashlib.sha256(file.data).hexdigest())
        self.assertEqual(self.leftovers(), [])
