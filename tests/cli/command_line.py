"""What the tests of the command line share: the program, a model with a tokenizer, and what every answer must look like."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
GALE = Path(os.environ.get("GALE_BINARY", ROOT / "build/release/gale"))
DATA = ROOT / "tests/golden/data"
DEMO = ROOT / "models/demo/gale-demo.gguf"
TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m.role[0] }}:{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}a:{% endif %}"
COMMANDS = ["run", "bench", "quantize", "tokenize", "template", "logits", "inspect", "doctor", "login"]


def environment(extra=None):
    """The caller's variables without those that would change what a test types."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GALE_") or k in ("GALE_ISA", "GALE_DEMO")}
    env.update(extra or {})
    return env


def gale(*args, stdin="", env=None):
    return subprocess.run([str(GALE), *map(str, args)], input=stdin, capture_output=True, text=True, env=environment(env), timeout=300)


def write_tokenizer(folder):
    """A byte-level BPE without merges over printable ASCII; ids that are left become tokens of their own."""
    vocab_size = json.loads((folder / "config.json").read_text())["vocab_size"]
    letters = [chr(c) for c in range(0x21, 0x7F)] + ["\u0120", "\u010a"]
    vocab = {letter: i for i, letter in enumerate(letters)}
    added = [{"id": len(letters), "content": "<bos>", "special": True}]
    added += [{"id": i, "content": f"<{i}>", "special": False} for i in range(len(letters) + 1, vocab_size)]
    for token in added:
        token.update(single_word=False, lstrip=False, rstrip=False, normalized=False)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "added_tokens": added, "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None,
        "decoder": byte_level, "model": {"type": "BPE", "vocab": vocab, "merges": []}}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<bos>", "chat_template": TEMPLATE}))


class CliTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="gale-cli-"))
        cls.model = cls.folder / "model"
        shutil.copytree(DATA / "llama3", cls.model)
        write_tokenizer(cls.model)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def ok(self, *args, **kw):
        result = gale(*args, **kw)
        self.assertEqual(result.returncode, 0, f"{args}: {result.stderr}")
        return result.stdout

    def ok_json(self, *args, **kw):
        return json.loads(self.ok(*args, "--json", **kw))

    def fails(self, code, *args, says=(), **kw):
        """Exits with `code`, says one line "error: ..." on stderr, and nothing on stdout."""
        result = gale(*args, **kw)
        self.assertEqual(result.returncode, code, f"{args}: {result.stdout}{result.stderr}")
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 1, result.stderr)
        self.assertTrue(lines[0].startswith("error: "), lines[0])
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, lines[0])
