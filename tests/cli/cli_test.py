#!/usr/bin/env python3
"""The command line as scripts see it: exit codes, error lines, JSON, variables, every subcommand.

Runs $GALE_BINARY (default: build/release/gale). Needs Python 3 and nothing else. The models of tests/golden/data have no tokenizer;
one is given a small byte-level one here, so that run, tokenize and template have a text side without a download.
"""

import json
import math
import os
import re
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
from pathlib import Path

from command_line import COMMANDS, DATA, DEMO, GALE, ROOT, CliTest, environment, gale


class Usage(CliTest):
    def test_help_and_version(self):
        self.assertTrue(self.ok("--version").startswith("gale "))
        overview = self.ok("--help")
        for command in COMMANDS:
            self.assertIn(command, overview)
            self.assertIn(f"gale {command}", self.ok(command, "--help").replace("\n", " "))

    def test_every_flag_has_a_variable(self):
        for command in COMMANDS:
            for line in self.ok(command, "--help").splitlines():
                words = line.split()
                flags = [w for w in words[:1] if w.startswith("-")]
                names = [n for f in flags for n in f.split(",") if n.startswith("--") and n not in ("--help", "--version")]
                if names:
                    self.assertIn("GALE_" + names[0][2:].upper().replace("-", "_"), line + self.help_after(command, line))

    def help_after(self, command, line):
        text = self.ok(command, "--help")
        return text[text.index(line):][len(line):len(line) + 200]

    def test_wrong_usage_exits_2(self):
        self.fails(2, says="which command?")
        self.fails(2, "rnu", says=['"rnu"', "did you mean run?"])
        self.fails(2, "run", "--tempp", "1", says="did you mean --temp?")
        self.fails(2, "run", "--temperature=1", "-i", "x", says="did you mean --temp?")
        self.fails(2, "bench", says="--model")
        # Flags of later versions: refused by name, and the way to what there is.
        for args in (["run", "--image", "x.png"],):
            self.fails(2, *args, says=[f'does not know "{args[1]}"', f"gale {args[0]} --help lists"])
        self.fails(2, "run", "--kvtype", "f16", says="did you mean --kv-type?")
        self.fails(2, "run", "--quantize", "q8_0", says="did you mean --quant?")
        for flags in (["--temp", "hot"], ["--temp", "-1"], ["--temp", "nan"], ["--top-p", "0"], ["--min-p", "1"], ["--top-k", "-1"],
                      ["--repeat-penalty", "0"], ["--presence-penalty", "3"], ["--max-tokens", "x"], ["--threads", "-1"], ["--precision", "half"],
                      ["--kv-type", "q1"], ["--logprobs", "21"], ["--logit-bias", "abc"], ["--logit-bias", "1=x"], ["--seed", "-1"],
                      ["--logit-bias-text", "hello"], ["--typical-p", "0"], ["--top-a", "2"], ["--tail-free", "0"], ["--top-n-sigma", "-1"],
                      ["--epsilon-cutoff", "1"], ["--eta-cutoff", "-1"], ["--xtc-probability", "2"], ["--xtc-threshold", "0.6"], ["--mirostat", "3"],
                      ["--mirostat-tau", "0"], ["--mirostat-eta", "2"], ["--penalty-last-n", "-2"], ["--no-repeat-ngram", "-1"], ["--dry-multiplier", "-1"],
                      ["--dry-base", "0.5"], ["--dry-allowed-length", "0"], ["--dry-last-n", "-2"], ["--dynamic-temp-range", "-1"],
                      ["--dynamic-temp-exponent", "0"], ["--order", "top_q"], ["--min-tokens", "-1"], ["--prompt-logprobs", "21"]):
            self.fails(2, "run", "-i", "x", *flags, says=flags[0])
        self.fails(2, "run", "-i", "x", "--quant", "q9_z", says=["q9_z", "q4_k_m", "q8_0"])
        for name, near in (("q4k", "q4_k"), ("q4", "q4_0"), ("q8", "q8_0"), ("fp32", "f32")):
            self.fails(2, "run", "-i", "x", "--quant", name, says=[f"did you mean {near}?", f'unknown quantization type "{name}"'])
        self.fails(2, "quantize", "-m", self.model, "--type", "q9_z", "-o", "x.gguf", says="known")
        self.fails(2, "quantize", "-m", self.model, "--type", "iq1_s", "-o", "x.gguf", says=["iq1_s", "does not make", "q4_k_m", "q8_0"])
        writable = [f["name"] for f in self.ok_json("doctor")["formats"] if f["can_write"]]
        for command in ("run", "quantize"):
            for name in writable:
                self.assertIn(name, self.ok(command, "--help"))
        self.fails(2, "quantize", "-m", self.model, "--type", "q8_0", "-o", "x.bin", says=".gguf")
        self.fails(2, "logits", "-m", self.model, "--tokens", "1,x", says='"x"')
        self.fails(2, "tokenize", "-m", self.model, says="TEXT")

    def test_a_reader_that_leaves_is_no_error(self):
        command = f'"{GALE}" doctor --json | head -c 10 >/dev/null; exit ${{PIPESTATUS[0]}}'
        result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment())
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full")
    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run([str(GALE), "doctor"], stdout=full, stderr=subprocess.PIPE, text=True, env=environment())
        self.assertEqual(result.returncode, 1)
        self.assertIn("error: cannot write", result.stderr)


class BadModels(CliTest):
    def test_what_is_not_there(self):
        for command in (["inspect"], ["run", "-i", "x", "-m"], ["logits", "--tokens", "1", "-m"], ["tokenize", "x", "-m"]):
            self.fails(1, *command, self.folder / "nothing-like-it", says="does not exist")
        self.fails(1, "inspect", self.folder / "modle", says=f"did you mean {self.model}?")

    def test_an_empty_folder(self):
        empty = self.folder / "empty"
        empty.mkdir()
        self.fails(1, "inspect", empty, says=["empty", "safetensors"])

    def test_a_truncated_file(self):
        whole = self.folder / "whole.gguf"
        self.ok("quantize", "-m", self.model, "--type", "f16", "-o", whole)
        data = whole.read_bytes()
        for length in (0, 3, 20, len(data) // 2, len(data) - 1):
            cut = self.folder / "cut.gguf"
            cut.write_bytes(data[:length])
            self.fails(1, "inspect", cut, says="cut.gguf")

    def test_an_unknown_architecture(self):
        other = self.folder / "other"
        shutil.copytree(self.model, other)
        config = json.loads((other / "config.json").read_text())
        config["architectures"] = ["FrobnicatorForCausalLM"]
        (other / "config.json").write_text(json.dumps(config))
        self.fails(1, "run", "-m", other, "-i", "x", says=["Frobnicator", "LlamaForCausalLM"])
        report = self.ok_json("inspect", other, "--fit")
        self.assertFalse(report["runs"])
        self.assertIn("Frobnicator", report["problem"])
        self.assertEqual(report["bytes"], self.ok_json("inspect", self.model)["bytes"])

    def test_an_unknown_random_shape(self):
        for command in (["bench"], ["run", "-i", "x"], ["logits", "--tokens", "1"]):
            self.fails(1, *command, "-m", "random:no-such-shape", says=["no-such-shape", "llama-3.2-1b", "qwen3-4b"])

    def test_no_tokenizer(self):
        self.fails(1, "run", "-m", DATA / "qwen3", "-i", "x", says="no tokenizer")
        self.fails(1, "tokenize", "-m", DATA / "qwen3", "x", says="no tokenizer")
        self.fails(1, "template", "-m", DATA / "qwen3", "--messages", "-", stdin="[]", says="no chat template")


class Run(CliTest):
    def run_json(self, *args, **kw):
        return self.ok_json("run", "-m", self.model, *args, **kw)

    def test_one_prompt(self):
        out = self.run_json("-i", "hello", "-n", "8", "--ignore-eos")
        self.assertEqual(len(out["tokens"]), 8)
        self.assertEqual(out["finish"], "length")
        self.assertEqual(out["usage"]["completion_tokens"], 8)
        self.assertEqual(out["usage"]["total_tokens"], out["usage"]["prompt_tokens"] + 8)
        self.assertGreater(out["timings"]["load_seconds"], 0)
        self.assertNotIn("logprobs", out)
        self.assertEqual(self.ok("run", "-m", self.model, "-i", "hello", "-n", "8", "--ignore-eos"), out["text"] + "\n")
        self.assertEqual(self.run_json("-n", "8", "--ignore-eos", stdin="hello\n")["tokens"], out["tokens"])

    def test_template_raw_and_system(self):
        prompts = {name: self.run_json("-i", "hello", "-n", "1", *flags)["usage"]["prompt_tokens"]
                   for name, flags in {"chat": [], "raw": ["--raw"], "system": ["--system", "be brief"]}.items()}
        self.assertEqual(prompts["raw"], 5)
        self.assertEqual(prompts["chat"], len("u:hello\na:") + 1)
        self.assertEqual(prompts["system"], len("s:be brief\nu:hello\na:") + 1)

    def test_heal(self):
        plain, healed = (self.run_json("--raw", "-i", "u:hello\na:", "-n", "8", *flags) for flags in ([], ["--heal"]))
        self.assertEqual(plain["text"], healed["text"])  # each letter is a token: there is nothing to heal
        self.fails(2, "run", "-i", "x", "--heal", says=("--raw",))

    def test_seeds_and_variables(self):
        args = ["-i", "hello", "-n", "12", "--ignore-eos", "--temp", "1.5"]
        one, again, other = (self.run_json(*args, "--seed", s)["tokens"] for s in (1, 1, 2))
        self.assertEqual(one, again)
        self.assertNotEqual(one, other)
        variables = {"GALE_MODEL": str(self.model), "GALE_PROMPT": "hello", "GALE_MAX_TOKENS": "12", "GALE_IGNORE_EOS": "1", "GALE_TEMP": "1.5",
                     "GALE_SEED": "1", "GALE_JSON": "true"}
        self.assertEqual(json.loads(self.ok("run", env=variables))["tokens"], one)
        variables["GALE_SEED"] = "2"
        self.assertEqual(json.loads(self.ok("run", "--seed", "1", env=variables))["tokens"], one)  # the flag wins
        self.fails(2, "run", "-i", "x", env={"GALE_TOP_P": "7"}, says="7")

    def test_variables_of_other_commands_do_not_matter(self):
        """Each flag of each command as a variable, with a value that it cannot take, does not end a command that has no such flag."""
        commands = re.findall(r"^  ([a-z]+)  ", self.ok("--help").split("Subcommands:")[1], re.M)
        flags = {c: set(re.findall(r"GALE_[A-Z0-9_]+", self.ok(c, "--help"))) for c in commands if c not in ("login",)}
        everywhere = set().union(*flags.values()) - {"GALE_ISA", "GALE_DEMO"}
        self.assertIn("GALE_QUANT_EXPERTS", everywhere)
        for command, args in (("tokenize", ["-m", self.model, "hello"]), ("doctor", []), ("inspect", [self.model])):
            self.ok(command, *args, env={name: "no such value" for name in everywhere - flags[command]})

    def test_variables_of_quantizing_wait_for_a_command_that_quantizes(self):
        text, matrix = self.folder / "weights.txt", self.folder / "weights.dat"
        text.write_text("hello world, " * 200)
        self.ok("imatrix", "-m", self.model, "-f", text, "-o", matrix)
        env = {"GALE_QUANT_EXPERTS": "1", "GALE_IMATRIX": str(matrix), "GALE_CALIBRATE": str(text)}
        plain = self.ok_json("logits", "-m", self.model, "--tokens", "1,2")
        for name, value in env.items():
            with self.subTest(name):
                self.assertEqual(self.ok_json("logits", "-m", self.model, "--tokens", "1,2", env={name: value}), plain)
                self.ok("quantize", "-m", self.model, "--packed", "-o", self.folder / "idle.gale", env={name: value})
        flag = ["--quant-experts", "--imatrix", matrix]
        self.fails(1, "logits", "-m", self.model, "--tokens", "1,2", flag[0], says="no type is named")
        self.fails(1, "logits", "-m", self.model, "--tokens", "1,2", *flag[1:], says="nothing is quantized")
        weighted = self.ok_json("logits", "-m", self.model, "--tokens", "1,2", "--quant", "q4_0", env={"GALE_IMATRIX": str(matrix)})
        self.assertEqual(weighted, self.ok_json("logits", "-m", self.model, "--tokens", "1,2", "--quant", "q4_0", *flag[1:]))

    def test_logprobs_bias_and_stops(self):
        out = self.run_json("-i", "hello", "-n", "4", "--ignore-eos", "--logprobs", "3")
        self.assertEqual([p["token"] for p in out["logprobs"]], out["tokens"])
        for p in out["logprobs"]:
            self.assertEqual(len(p["top"]), 3)
            self.assertEqual(p["token"], p["top"][0]["token"])
            self.assertLess(p["logprob"], 0)
        first = out["tokens"][0]
        self.assertNotEqual(self.run_json("-i", "hello", "-n", "1", "--ignore-eos", "--logit-bias", f"{first}=-100")["tokens"], [first])
        self.assertEqual(self.run_json("-i", "hello", "-n", "3", "--ignore-eos", "--logit-bias", "5=1000")["text"], "&&&")
        stopped = self.run_json("-i", "hello", "-n", "9", "--ignore-eos", "--logit-bias", "5=1000", "--stop", "nope", "--stop", "&&&")
        self.assertEqual((stopped["text"], stopped["finish"], stopped["stop"]), ("", "stop", "&&&"))
        self.assertEqual(self.run_json("-i", "hello", "-n", "9", "--logit-bias", "5=1000", "--stop-id", "5")["finish"], "stop")
        kept = self.run_json("-i", "hello", "-n", "9", "--ignore-eos", "--logit-bias", "5=1000", "--stop", "&&&", "--include-stop", "--min-tokens", "2")
        self.assertEqual((kept["text"], kept["stop"]), ("&&&&&", "&&&"))
        held = self.run_json("-i", "hello", "-n", "9", "--logit-bias", "5=1000", "--stop-id", "5", "--include-stop", "--min-tokens", "3")
        self.assertEqual((len(held["tokens"]), held["tokens"][-1], held["stop_token"], held["finish"]), (4, 5, 5, "stop"))

    def test_a_text_may_outgrow_its_context(self):
        args = ["-i", "hello", "-n", "120", "--ignore-eos", "--ctx", "64", "--raw"]
        ended = self.run_json(*args)
        self.assertEqual((ended["finish"], ended["usage"]["total_tokens"]), ("length", 65))
        for how in ("slide", "middle"):
            on = self.run_json(*args, "--overflow", how, "--keep", "3")
            self.assertEqual(len(on["tokens"]), 120)
            self.assertGreaterEqual(on["usage"]["dropped_tokens"], 50)
            self.assertEqual(on["tokens"][:len(ended["tokens"])], ended["tokens"])
        self.fails(1, "run", "-m", self.model, "-i", "x", "--ctx", "64", "--keep", "32", says="half of the context")
        long = self.run_json("-i", "hello " * 100, "-n", "5", "--ignore-eos", "--ctx", "64", "--raw", "--overflow", "middle")
        self.assertGreater(long["usage"]["prompt_tokens"], 64)
        self.assertEqual(len(long["tokens"]), 5)

    def test_beams(self):
        args = ["-i", "hello", "-n", "20", "--ignore-eos", "--logprobs", "0"]
        self.assertEqual(self.run_json(*args)["tokens"], self.run_json(*args, "--beams", "1")["tokens"])
        for beams, penalty in ((2, 1), (6, 1), (6, 0), (30, 2)):
            best = self.run_json(*args, "--beams", str(beams), "--length-penalty", str(penalty))
            logprob = sum(token["logprob"] for token in best["logprobs"])
            self.assertAlmostEqual(best["beam_score"], logprob / 20**penalty, delta=1e-4 * abs(logprob))
        self.fails(2, "run", "-m", self.model, "-i", "x", "--beams", "3", "--temp", "0.5", says="draws nothing")

    def test_drafts_change_nothing(self):
        guess = ["--spec-type", "ngram", "--draft-max", "8", "--draft-min", "8"]
        for flags in (["--logit-bias", "5=1000"], ["--temp", "1.5", "--allow-id", "5,6", "--seed", "3"]):
            args = ["-i", "hello", "-n", "50", "--ignore-eos", *flags]
            plain, drafted = self.run_json(*args), self.run_json(*args, *guess)
            self.assertEqual(plain["tokens"], drafted["tokens"])
            self.assertEqual(plain["usage"]["drafted_tokens"], 0)
            self.assertGreater(drafted["usage"]["accepted_tokens"], 0)
            self.assertGreaterEqual(drafted["usage"]["drafted_tokens"], drafted["usage"]["accepted_tokens"])
            stop = plain["text"][30:36]  # in the middle of what is accepted at once
            stopped = [self.run_json(*args, "--stop", stop, *more) for more in ([], guess)]
            self.assertEqual(*([(s["text"], s["stop"], s["finish"]) for s in stopped]))
            self.assertEqual(stopped[0]["stop"], stop)
        result = gale("run", "-m", self.model, "-i", "hello", "-n", "50", "--ignore-eos", "--logit-bias", "5=1000", "-v", *guess)
        self.assertRegex(result.stderr, r"\d+ of \d+ guessed tokens right")
        beside = self.run_json("-i", "hello", "-n", "20", "--ignore-eos", "--draft-model", self.model, "--draft-max", "4", "--draft-min", "4")
        self.assertEqual(beside["tokens"], self.run_json("-i", "hello", "-n", "20", "--ignore-eos")["tokens"])
        self.assertGreater(beside["usage"]["accepted_tokens"], 5)
        self.fails(2, "run", "-i", "x", "--spec-type", "model", says="needs --draft-model")
        self.fails(1, "run", "-m", self.model, "-i", "x", "--draft-model", "/no/such/model", says="/no/such/model")
        self.fails(2, "run", "-i", "x", "--draft-min", "9", "--draft-max", "8", says="--draft-min")
        self.fails(2, "run", "-i", "x", "--draft-max", "0", says="from 1 to 128")

    def test_prefix_store(self):
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "store"
            args = ["-i", "once upon a time " * 20, "--raw", "-n", "8", "--ignore-eos", "--logprobs", "2", "--kv-block", "16"]
            plain = self.run_json(*args)
            first, second = (self.run_json(*args, "--prefix-store", store, "--prefix-store-size", "1M") for _ in range(2))
            for out in (first, second):
                self.assertEqual((out["tokens"], out["logprobs"]), (plain["tokens"], plain["logprobs"]))
            self.assertEqual(first["usage"]["cached_tokens"], 0)
            self.assertGreaterEqual(second["usage"]["cached_tokens"], second["usage"]["prompt_tokens"] - 16)
            self.assertEqual(store.stat().st_mode & 0o777, 0o700)
            self.assertEqual({f.stat().st_mode & 0o777 for f in store.iterdir()}, {0o600})
            self.assertLessEqual(sum(f.stat().st_size for f in store.iterdir()), 1 << 20)
            self.assertEqual(self.run_json(*args, "--prefix-store", store, "--kv-type", "f16")["usage"]["cached_tokens"], 0)
            self.fails(1, "run", "-m", self.model, "-i", "x", "--prefix-store", store, "--prefix-store-size", "100", says="one block")
            self.fails(2, "run", "-m", self.model, "-i", "x", "--prefix-store", store, "--prefix-store-size", "lots")
            self.fails(2, "run", "-m", self.model, "-i", "x", "--prefix-store", store, "--no-prefix-cache", says="--no-prefix-cache")
            (Path(folder) / "file").write_text("")
            self.fails(1, "run", "-m", self.model, "-i", "x", "--prefix-store", Path(folder) / "file")

    def test_sessions(self):
        with tempfile.TemporaryDirectory() as folder:
            chat, raw = Path(folder) / "chat", Path(folder) / "raw"
            args = ["-n", "8", "--ignore-eos", "--kv-block", "16", "--session"]
            first = self.run_json("-i", "hello there, whoever you are", "--system", "be brief", *args, chat)
            self.assertEqual(chat.stat().st_mode & 0o777, 0o600)
            second = self.run_json("-i", "and now", *args, chat)
            self.assertGreater(second["usage"]["prompt_tokens"], first["usage"]["total_tokens"])
            self.assertGreaterEqual(second["usage"]["cached_tokens"], 32)
            text = self.run_json("--raw", "-i", "once upon a time there was", *args, raw)
            more = self.run_json("--raw", "-i", " and then", *args, raw)
            whole = self.run_json("--raw", "-i", "once upon a time there was" + text["text"] + " and then", "-n", "8", "--ignore-eos")
            self.assertEqual(more["usage"]["prompt_tokens"], text["usage"]["total_tokens"] + len(" and then"))
            self.assertGreaterEqual(more["usage"]["cached_tokens"], 16)
            if whole["usage"]["prompt_tokens"] == more["usage"]["prompt_tokens"]:  # the answer's text has the tokens it was
                self.assertEqual(more["tokens"], whole["tokens"])
            before = chat.read_bytes()
            self.fails(1, "run", "-m", self.model, "-i", "x", "--session", chat, "--kv-type", "q8_0", says=("q8_0", "bf16"))
            self.fails(1, "run", "-m", self.model, "-i", "x", *args, chat, "--raw", says="without --raw")
            self.fails(1, "run", "-m", self.model, "-i", "x", *args, chat, "--system", "be long", says="another system prompt")
            self.fails(1, "run", "-m", self.model, "-i", "x", "--session", DATA / "llama3" / "config.json", says="no session")
            self.assertEqual(chat.read_bytes(), before)

    def test_every_sampling_stage_has_flags(self):
        args = ["-i", "hello hello hello", "-n", "12", "--ignore-eos", "--temp", "1.2", "--seed", "3"]
        plain = self.run_json(*args)["tokens"]
        for flags in (["--dynamic-temp-range", "1"], ["--typical-p", "0.2"], ["--top-a", "1"], ["--tail-free", "0.1"], ["--top-n-sigma", "0.5"],
                      ["--epsilon-cutoff", "0.02"], ["--eta-cutoff", "0.9"], ["--xtc-probability", "1", "--xtc-threshold", "0.001"],
                      ["--mirostat", "1", "--mirostat-tau", "0.5"], ["--mirostat", "2", "--mirostat-tau", "0.5"], ["--no-repeat-ngram", "1"],
                      ["--repeat-penalty", "5", "--penalty-last-n", "9"], ["--ban-id", ",".join(map(str, set(plain)))], ["--allow-id", "5,6"],
                      ["--dry-multiplier", "90", "--dry-allowed-length", "1", "--dry-sequence-breaker", "none"],
                      ["--logit-bias-text", "h=50"]):
            out = self.run_json(*args, *flags)["tokens"]
            self.assertNotEqual(out, plain, flags)
            self.assertEqual(self.run_json(*args, *flags, "-t", "1")["tokens"], out, flags)
        self.assertEqual(self.run_json(*args, "--allow-id", "5")["tokens"], [5] * 12)
        self.run_json(*args, "--dry-multiplier", "1", "--dry-sequence-breaker", "lo", "--dry-sequence-breaker", "\n")
        ordered = self.run_json(*args, "--top-k", "4", "--top-p", "0.9", "--order", "top_p,top_k,temperature")["tokens"]
        self.assertEqual(self.run_json(*args, env={"GALE_TOP_K": "4", "GALE_TOP_P": "0.9", "GALE_ORDER": "top_p,top_k,temperature"})["tokens"], ordered)
        self.fails(1, "run", "-m", self.model, "-i", "x", "--temp", "1", "--top-k", "4", "--order", "temperature", says='order does not name "top_k"')
        self.fails(1, "run", "-m", self.model, "-i", "x", "--order", "top_k,top_k", says="twice")
        self.fails(2, "run", "-m", self.model, "-i", "x", "--mirostat", "2", says="temperature")
        self.fails(2, "run", "-m", self.model, "-i", "x", "--allow-id", "5", "--ban-id", "5", says="banned_ids")

    def test_prompt_logprobs(self):
        out = self.run_json("-i", "hello", "--raw", "-n", "0", "--prompt-logprobs", "2")
        self.assertEqual(out["tokens"], [])
        self.assertEqual(len(out["prompt_logprobs"]), out["usage"]["prompt_tokens"] - 1)
        for p in out["prompt_logprobs"]:
            self.assertEqual(len(p["top"]), 2)
            self.assertLessEqual(p["logprob"], p["top"][0]["logprob"])

    def test_precision_threads_and_chunks(self):
        args = ["-i", "a somewhat longer prompt, read in pieces", "-n", "8", "--ignore-eos"]
        base = self.run_json(*args)["tokens"]
        self.assertEqual(self.run_json(*args, "-t", "1", "--batch-tokens", "7")["tokens"], base)
        for flags in (["--precision", "exact"], ["--kv-type", "bf16"], ["--kv-type", "q8_0/q4_0", "--kv-block", "16"], ["--quant", "q8_0"], ["--ctx", "64"]):
            self.assertEqual(len(self.run_json(*args, *flags)["tokens"]), 8)

    def test_prompts_that_cannot_be(self):
        self.fails(1, "run", "-m", self.model, "-i", "", "--raw")
        self.fails(1, "run", "-m", self.model, "-i", "x" * 100, "--ctx", "64", says="64")
        self.fails(2, "run", "-m", self.model, says="no prompt")

    def test_interrupt_cancels(self):
        process = subprocess.Popen([str(GALE), "run", "-m", str(self.model), "-i", "x", "-n", "-1", "--ignore-eos", "--ctx", "512", "--json", "-t", "1",
                                    "--quant", "f32"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        # Too early (still loading) kills it, too late finds it done; in between it says what it has.
        self.assertIn(process.returncode, (0, -signal.SIGINT), err)
        if process.returncode == 0:
            self.assertIn(json.loads(out)["finish"], ("cancelled", "length"))


class Conversation(CliTest):
    def talk(self, lines, *flags):
        """Types the lines on a terminal, one per prompt, and returns what it showed and the exit code."""
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(str(GALE), [str(GALE), "run", "-m", str(self.model), "-n", "4", "--ignore-eos", "--logit-bias", "5=1000", *flags],
                      environment({"TERM": "dumb"}))
        shown, pending, deadline = "", list(lines), time.time() + 60
        seen = 0
        while time.time() < deadline:
            if not select.select([fd], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(fd, 4096)
            except OSError:
                break
            if not data:
                break
            shown += data.decode(errors="replace")
            if pending and shown.endswith("> ") and len(shown) > seen:
                seen = len(shown)
                # The prompt comes a moment before the editor takes the terminal over; a Ctrl-D in between would be lost.
                while termios.tcgetattr(fd)[3] & termios.ICANON and time.time() < deadline:
                    time.sleep(0.005)
                os.write(fd, pending.pop(0).encode())
        else:
            os.kill(pid, signal.SIGKILL)
            shown += " [and then nothing for a minute]"
        _, status = os.waitpid(pid, 0)
        os.close(fd)
        return shown, os.waitstatus_to_exitcode(status)

    def test_commands_and_answers(self):
        shown, code = self.talk(["hello\n", "/help\n", "/what\n", "/system be brief\n", "again\n", "/clear\n", "/exit\n"])
        self.assertEqual(code, 0, shown)
        self.assertGreaterEqual(shown.count("&&&&"), 2, shown)
        self.assertIn("forget the conversation", shown)
        self.assertIn("/what is no command", shown)

    def test_end_of_input_leaves(self):
        shown, code = self.talk(["\x04"])
        self.assertEqual(code, 0, shown)

    def test_a_bad_turn_does_not_end_it(self):
        shown, code = self.talk(["x" * 100 + "\n", "hi\n", "/exit\n"], "--ctx", "64")
        self.assertEqual(code, 0, shown)
        self.assertIn("error: ", shown)
        self.assertIn("&&&&", shown)


class Text(CliTest):
    def test_tokenize_lines(self):
        lines = self.ok("tokenize", "-m", self.model, "--jsonl", "-", stdin='"!"\n[34]\n""\n[]\n').splitlines()
        self.assertEqual([json.loads(line)["ids"] for line in lines], [[0], [1], [], []])
        for bad in ("null", "{}", "3", "[256]", '["a"]'):
            self.fails(1, "tokenize", "-m", self.model, "--jsonl", "-", stdin='"!"\n' + bad + "\n", says="line 2")

    def test_tokenize_as_the_file_asks(self):
        with tempfile.TemporaryDirectory() as folder:
            spec = json.loads((self.model / "tokenizer.json").read_text())
            spec["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 1}
            spec["padding"] = {"strategy": "BatchLongest", "direction": "Left", "pad_to_multiple_of": None, "pad_id": 7, "pad_type_id": 0,
                               "pad_token": "("}
            (Path(folder) / "tokenizer.json").write_text(json.dumps(spec))
            text = "!\"#$%"
            self.assertEqual(self.ok("tokenize", "-m", folder, "--ids", text), "0 1 2 3 4\n")
            self.assertEqual(self.ok("tokenize", "-m", folder, "--ids", "--truncate", text), "0 1 2\n")
            self.assertEqual(self.ok("tokenize", "-m", folder, "--ids", "--truncate", "--length", "2", text), "0 1\n")
            self.assertEqual(self.ok("tokenize", "-m", folder, "--ids", "--pad", "--length", "7", text), "7 7 0 1 2 3 4\n")
            lines = self.ok("tokenize", "-m", folder, "--truncate", "--pad", "--jsonl", "-", stdin=json.dumps(text) + '\n"!"\n').splitlines()
            cut, filled = map(json.loads, lines)
            self.assertEqual((cut["ids"], cut["overflowing"]), ([0, 1, 2], [[2, 3, 4]]))
            self.assertEqual((filled["ids"], filled["attention_mask"]), ([7, 7, 0], [0, 0, 1]))
        self.fails(1, "tokenize", "-m", self.model, "--truncate", "x", says="--length N")
        self.fails(1, "tokenize", "-m", self.model, "--pad", "x", says="asks for no padding")

    def test_ids_to_text(self):
        bos = json.loads((self.model / "tokenizer.json").read_text())["added_tokens"][0]["id"]
        self.assertEqual(self.ok("tokenize", "-m", self.model, "--decode", f"{bos} 0 1, 2"), "<bos>!\"#\n")
        self.assertEqual(self.ok("tokenize", "-m", self.model, "--decode", "--no-special", f"[{bos},0]"), "!\n")
        out = self.ok_json("tokenize", "-m", self.model, "--decode", "--jsonl", "-", stdin=f"[{bos}, 0]\n")
        self.assertEqual(out, {"text": "!", "with_special": "<bos>!"})
        for bad in ("-1", "99999999", "x", "0.5"):
            self.fails(1, "tokenize", "-m", self.model, "--decode", "--", bad, says="the ids")
        self.fails(2, "tokenize", "-m", self.model, "--decode", "--pad", "0")

    def test_template_without_weights(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(self.model / name, folder)
            messages = '[{"role": "user", "content": "!"}]'
            for flags in ([], ["--tokens"]):
                self.assertEqual(self.ok("template", "-m", folder, "--messages", "-", *flags, stdin=messages),
                                 self.ok("template", "-m", self.model, "--messages", "-", *flags, stdin=messages))

    def test_tokenize(self):
        self.assertEqual(self.ok("tokenize", "-m", self.model, "--ids", "!\"#"), "0 1 2\n")
        self.assertEqual(self.ok("tokenize", "-m", self.model, "--ids", "-", stdin="!\"#"), "0 1 2\n")
        file = self.folder / "text"
        file.write_text("!\"#")
        self.assertEqual(self.ok("tokenize", "-m", self.model, "--ids", "--no-special", "--file", file), "0 1 2\n")
        out = self.ok_json("tokenize", "-m", self.model, "a b\n")
        self.assertEqual(out["pieces"], ["a", " ", "b", "\n"])
        self.assertEqual(out["count"], 4)
        self.assertIn('"\\n"', self.ok("tokenize", "-m", self.model, "\n"))
        self.fails(2, "tokenize", "-m", self.model, "x", "--file", file)
        self.fails(1, "tokenize", "-m", self.model, "--file", self.folder / "no-such-file")

    def test_template(self):
        messages = [{"role": "user", "content": "hi"}]
        file = self.folder / "messages.json"
        file.write_text(json.dumps(messages))
        self.assertEqual(self.ok("template", "-m", self.model, "--messages", file), "<bos>u:hi\na:")
        request = json.dumps({"messages": messages, "add_generation_prompt": False})
        self.assertEqual(self.ok("template", "-m", self.model, "--messages", "-", stdin=request), "<bos>u:hi\n")
        ids = self.ok("template", "-m", self.model, "--messages", file, "--tokens").split()
        self.assertEqual(list(map(int, ids)), self.ok_json("template", "-m", self.model, "--messages", file)["tokens"])
        self.assertEqual(len(ids), 8)
        self.fails(1, "template", "-m", self.model, "--messages", "-", stdin="{oops")
        self.fails(1, "template", "-m", self.model, "--messages", "-", stdin="3", says="messages")

    def test_template_of_a_file(self):
        """--chat-template wins over the model's own; named templates are chosen by the presence of tools."""
        messages = [{"role": "user", "content": "hi"}]
        request = lambda **more: json.dumps({"messages": messages, **more})  # noqa: E731
        jinja, named = self.folder / "mine.jinja", self.folder / "named.json"
        jinja.write_text("{% for m in messages %}[{{ m.content }}]{% endfor %}")
        named.write_text(json.dumps({"chat_template": [{"name": "default", "template": "plain"},
                                                       {"name": "tool_use", "template": "{{ tools[0].function.name }}"}]}))
        tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
        template = ("template", "-m", self.model, "--messages", "-", "--chat-template")
        self.assertEqual(self.ok(*template, jinja, stdin=request()), "[hi]")
        self.assertEqual(self.ok(*template, named, stdin=request()), "plain")
        self.assertTrue(self.ok(*template, named, stdin=request(tools=tools)).startswith("f"))
        self.fails(1, *template, self.folder / "absent.jinja", stdin=request(), says="absent.jinja")
        jinja.write_text("{% if %}")
        self.fails(1, *template, jinja, stdin=request(), says="line 1, column 7")

    def test_template_without_a_system_role(self):
        """What a template cannot do is done in its stead, with a note; --as-is leaves it undone."""
        jinja = self.folder / "no_system.jinja"
        jinja.write_text("{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
                         "[{{ m.content }}]{% endfor %}")
        chat = json.dumps([{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}])
        command = ("template", "-m", self.model, "--messages", "-", "--chat-template", jinja)
        run = gale(*command, stdin=chat)
        self.assertEqual(run.stdout, "[S\n\nhi]")
        self.assertEqual(run.stderr.count("no system role"), 1)
        self.fails(1, *command, "--as-is", stdin=chat, says="no system role")


def model_of(case):
    """The model of a folder of tests/golden/data."""
    return case / "model.gguf" if (case / "model.gguf").exists() else case


class Models(CliTest):
    def test_logits_match_the_reference(self):
        for case in sorted(p.parent for p in DATA.glob("*/golden.json")):
            golden = json.loads((case / "golden.json").read_text())
            ids, greedy = golden["cases"][0]["ids"], golden["cases"][0]["greedy"]
            out = self.ok_json("logits", "-m", model_of(case), "--precision", "exact", "--tokens", ",".join(map(str, ids)))
            self.assertEqual(len(out["logits"]), len(ids))
            last = out["logits"][-1]
            self.assertEqual(len(last), out["vocab"])
            self.assertEqual(last.index(max(last)), greedy[0], case)
        self.assertIn(str(greedy[0]), self.ok("logits", "-m", model_of(case), "--tokens", "-", stdin=" ".join(map(str, ids))))
        self.fails(1, "logits", "-m", model_of(case), "--tokens", "999999", says="999999")

    def test_perplexity_is_that_of_the_logits(self):
        text = self.folder / "text.txt"
        text.write_text("What is 36 plus 6? It is 42. " * 8)
        ids = [int(i) for i in self.ok("tokenize", "-m", "demo", "--file", text, "--ids", "--plain").split()]
        before = self.ok("tokenize", "-m", "demo", "--ids", "").split()
        size = 40

        def distributions(*args):
            out = []
            for at in range(0, len(ids) - size + 1, size):
                window = [int(before[0])] * bool(before) + ids[at + bool(before):at + size]
                rows = self.ok_json("logits", "-m", "demo", *args, "--tokens", ",".join(map(str, window)))["logits"]
                for row, token in list(zip(rows, window[1:]))[size // 2:]:
                    top = max(row)
                    total = top + math.log(sum(math.exp(x - top) for x in row))
                    out.append(([x - total for x in row], token))
            return out

        base, small = distributions(), distributions("--quant", "q4_0")
        loss = -sum(row[token] for row, token in small) / len(small)
        kl = sum(sum(math.exp(p) * (p - q) for p, q in zip(b, s)) for (b, _), (s, _) in zip(base, small)) / len(base)
        same = sum(b.index(max(b)) == s.index(max(s)) for (b, _), (s, _) in zip(base, small)) / len(base)
        out = self.ok_json("perplexity", "-m", "demo", "--quant", "q4_0", "-f", text, "--window", size, "--against", "demo")
        self.assertEqual(out["tokens"], len(small))
        self.assertAlmostEqual(out["perplexity"] / math.exp(loss), 1, 5)
        self.assertAlmostEqual(out["kl_divergence"] / kl, 1, 4)
        self.assertAlmostEqual(out["top1_agreement"], same, 9)
        self.assertIn("top-1 agreement", self.ok("perplexity", "-m", "demo", "-f", text, "--against", "demo"))
        self.fails(1, "perplexity", "-m", "demo", "-f", text, "--against", DATA / "llama3", says="vocabulary")
        self.fails(2, "perplexity", "-m", "demo", "-f", text, "--window", "2", says="--window")

    def test_logits_that_are_no_numbers_are_null(self):
        broken = self.folder / "broken"
        shutil.copytree(DATA / "llama2", broken)
        file = bytearray((broken / "model.safetensors").read_bytes())
        header = json.loads(file[8:8 + int.from_bytes(file[:8], "little")])
        at = len(file) - max(t["data_offsets"][1] for t in header.values() if "data_offsets" in t)
        at += header["lm_head.weight"]["data_offsets"][0]
        file[at:at + 4] = struct.pack("<f", float("nan"))
        (broken / "model.safetensors").write_bytes(file)

        def no_constants(name):
            raise ValueError(name)

        out = json.loads(self.ok("logits", "-m", broken, "--tokens", "5,6", "--json"), parse_constant=no_constants)
        self.assertEqual([row.index(None) for row in out["logits"]], [0, 0])
        self.assertEqual(sum(x is None for row in out["logits"] for x in row), 2)
        self.assertNotIn("nan", self.ok("logits", "-m", broken, "--tokens", "5,6"))

    def test_inspect(self):
        for case in sorted(p.parent for p in DATA.glob("*/golden.json")):
            out = self.ok_json("inspect", model_of(case), "--fit")
            self.assertTrue(out["runs"], out["problem"])
            files = [f.read_bytes() for f in case.glob("model*.safetensors")]
            if files:  # a UQFF file says more than its tensors
                self.assertEqual(out["bytes"], sum(len(data) - 8 - int.from_bytes(data[:8], "little") for data in files))
            self.assertEqual(sum(p["bytes"] for p in out["parts"]), out["bytes"])
            self.assertEqual(sum(t["bytes"] for t in out["types"]), out["bytes"])
            for key in ("packed_bytes", "kv_bytes_per_token", "scratch_bytes", "context_that_fits"):
                self.assertGreater(out["fit"][key], 0, key)
            self.assertIn(out["architecture"], self.ok("inspect", model_of(case), "--fit"))
        self.assertEqual(self.ok_json("inspect", self.model)["tokenizer"], "BPE")
        self.assertTrue(self.ok_json("inspect", self.model)["chat_template"])

    def test_quantize_to_a_folder(self):
        out = self.folder / "as_nf4"
        report = self.ok_json("quantize", "-m", "demo", "--type", "nf4", "-o", out)
        self.assertIn("loses twice", report["note"])
        self.assertEqual(sorted(f.name for f in out.iterdir()),
                         ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
        again = self.folder / "packed_nf4.gale"
        self.ok("quantize", "-m", out, "--packed", "-o", again)
        tokens = ("--tokens", "5,6,7", "--json")
        self.assertEqual(self.ok_json("logits", "-m", out, *tokens)["logits"], self.ok_json("logits", "-m", again, *tokens)["logits"])
        self.fails(1, "quantize", "-m", "demo", "--type", "nf4", "-o", out, says=["is there already", "new or empty"])
        self.fails(1, "quantize", "-m", "demo", "--type", "q4_k", "-o", self.folder / "q4k", says=["q4_k is a type of GGUF", "*.gguf"])
        self.fails(1, "quantize", "-m", "demo", "--type", "f8q8", "-o", self.folder / "f8q8", says=["no form for f8q8", "int8"])
        self.fails(1, "quantize", "-m", "demo", "--type", "nf4", "-o", self.folder / "x.gguf", says=["GGUF has no type for nf4"])
        self.assertFalse((self.folder / "q4k").exists())

    def test_quantize(self):
        before = self.ok_json("inspect", self.model)
        for kind in ("q8_0", "f16", "q4_k_m", "q5_k_m", "mxfp4"):
            out = self.folder / f"{kind}.gguf"
            report = self.ok_json("quantize", "-m", self.model, "--type", kind, "-o", out)
            self.assertEqual(report["parameters"], before["parameters"])
            after = self.ok_json("inspect", out)
            self.assertEqual(after["container"], "gguf")
            # GGUF keeps llama3's rope factors as a tensor of their own: half a head of floats.
            extra = after["parameters"] - before["parameters"]
            self.assertIn(extra, (0, before["config"]["hidden_size"] // before["config"]["num_attention_heads"] // 2))
            self.assertEqual(after["bytes"], report["bytes"] + 4 * extra)
            self.assertEqual(self.ok_json("tokenize", "-m", out, "hello")["tokens"], self.ok_json("tokenize", "-m", self.model, "hello")["tokens"])
            self.assertEqual(len(self.ok_json("run", "-m", out, "-i", "x", "-n", "3", "--ignore-eos")["tokens"]), 3)
        self.fails(1, "quantize", "-m", self.model, "--type", "q8_0", "-o", self.folder / "no/such/folder/x.gguf")

    def test_families_that_are_not_there_are_named(self):
        for form in ("mxfp4", "bf16"):
            model = ROOT / f"tests/golden/data/gpt_oss_{form}"
            says = ["GptOssForCausalLM", "not known", "LlamaForCausalLM"]
            self.fails(1, "run", "-m", model, "-i", "x", "--raw", says=says)
            self.fails(1, "logits", "-m", model, "--tokens", "1,2", says=says)
            self.fails(1, "quantize", "-m", model, "--type", "q4_0", "--packed", "-o", self.folder / "oss.gale", says=says)
            self.fails(1, "quantize", "-m", model, "--type", "q4_0", "-o", self.folder / "oss.gguf", says="GptOssForCausalLM")
            self.fails(1, "quantize", "-m", model, "--type", "nf4", "-o", self.folder / "oss", says=says)
            self.assertFalse(self.ok_json("inspect", model)["runs"])

    def test_packed(self):
        source = self.folder / "to-pack"
        shutil.copytree(self.model, source)
        packed = self.folder / "m.gale"
        report = self.ok_json("quantize", "-m", source, "--type", "q8_0", "--packed", "-o", packed)
        self.assertTrue(report["packed"])
        self.assertEqual(list(self.folder.glob("m.gale.tmp*")), [])
        ids = ["--tokens", "1,2,3"]
        for flags in ([], ["--precision", "exact"]):
            self.assertEqual(self.ok_json("logits", "-m", packed, *ids, *flags), self.ok_json("logits", "-m", source, "--quant", "q8_0", *ids, *flags))
        self.assertEqual(self.ok("run", "-m", packed, "-i", "hello", "-n", "8"), self.ok("run", "-m", source, "--quant", "q8_0", "-i", "hello", "-n", "8"))
        for command in (["tokenize", "a b"], ["template", "--messages", "-"]):
            args = dict(stdin='[{"role": "user", "content": "hi"}]')
            self.assertEqual(self.ok(*command, "-m", packed, **args), self.ok(*command, "-m", source, **args))
        inspected = self.ok_json("inspect", packed, "--fit", "--verify")
        self.assertEqual((inspected["container"], inspected["packed"]["type"], inspected["runs"]), ("packed", "q8_0", True))
        self.assertEqual(inspected["fit"]["packed_bytes"], self.ok_json("bench", "-m", packed, "-p", "0", "-n", "1", "-r", "1")["packed_bytes"])
        self.assertEqual(inspected["fit"]["packed_bytes"], self.ok_json("inspect", source, "--fit", "--quant", "q8_0")["fit"]["packed_bytes"])
        self.assertIn("packed from", self.ok("inspect", packed))
        self.fails(1, "quantize", "-m", packed, "--packed", "-o", self.folder / "x.gale", says=["is packed already", "name a type"])
        # The packed form is lossless: it becomes what a GGUF of the same type becomes, and says once that it loses twice.
        self.ok("quantize", "-m", source, "--type", "q8_0", "-o", self.folder / "q8.gguf")
        for model, name in ((packed, "x"), (self.folder / "q8.gguf", "y")):
            note = self.ok_json("quantize", "-m", model, "--type", "q4_0", "-o", self.folder / f"{name}.gguf")["note"]
            self.assertEqual(note.count("loses twice"), 1)
        again = ["logits", *ids, "-m"]
        self.assertEqual(self.ok_json(*again, self.folder / "x.gguf"), self.ok_json(*again, self.folder / "y.gguf"))
        result = gale(*again, packed, "--quant", "q4_0", "--json")
        self.assertEqual(result.stderr.count("loses twice"), 1)
        self.assertEqual(json.loads(result.stdout), self.ok_json(*again, self.folder / "q8.gguf", "--quant", "q4_0"))
        self.fails(1, "inspect", source, "--verify", says="no packed file")
        self.ok("quantize", "-m", source, "--packed", "-o", self.folder / "own.gale")
        self.assertEqual(self.ok_json("logits", "-m", self.folder / "own.gale", *ids), self.ok_json("logits", "-m", source, *ids))
        self.fails(2, "quantize", "-m", source, "--packed", "-o", "x.gguf", says=".gale")
        self.fails(2, "quantize", "-m", source, "--type", "q8_0", "-o", "x.gale", says=".gguf")
        self.fails(2, "quantize", "-m", source, "-o", "x.gguf", says="--type")
        data = packed.read_bytes()
        for length in (0, 20, 64, len(data) // 2, len(data) - 1):
            (self.folder / "cut.gale").write_bytes(data[:length])
            self.fails(1, "run", "-m", self.folder / "cut.gale", "-i", "x", says="cut.gale")
        config = json.loads((source / "tokenizer_config.json").read_text())
        (source / "tokenizer_config.json").write_text(json.dumps({**config, "bos_token": "<95>"}))
        self.fails(1, "run", "-m", packed, "-i", "x", says=["stale", "tokenizer_config.json", "--packed"])
        shutil.rmtree(source)
        self.assertEqual(len(self.ok_json("run", "-m", packed, "-i", "x", "-n", "3", "--ignore-eos")["tokens"]), 3)

    def test_bench(self):
        out = self.ok_json("bench", "-m", DATA / "llama3", "-p", "16", "-n", "4", "--batch", "1,3", "-r", "2")
        self.assertEqual([r["name"] for r in out["results"]], ["pp16", "tg4", "b1", "b3"])
        for r in out["results"]:
            self.assertGreater(r["tokens_per_second"], 0)
            self.assertGreater(r["share"], 0)
            self.assertIn(r["bound"], ("memory", "int8", "bf16", "f32"))
            self.assertEqual(len(r["runs"]), 2)
        for key in ("read_gb_s", "int8_tmac_s", "bf16_tmac_s", "f32_tmac_s", "threads"):
            self.assertGreater(out["roofline"][key], 0)
        self.assertIn("isa", out["roofline"])
        plain = self.ok("bench", "-m", DATA / "llama3", "-p", "0", "-n", "4", "--depth", "8", "-r", "1")
        self.assertIn("tg4@8", plain)
        self.assertNotIn("roofline", plain)
        self.assertIn("roofline", self.ok("bench", "-m", DATA / "llama3", "-p", "0", "-n", "4", "-r", "1", "--roofline"))
        self.fails(2, "bench", "-m", DATA / "llama3", "-p", "0", "-n", "0")

    def test_one_variable_sets_the_instruction_set(self):
        for isa in self.ok_json("doctor")["cpu"]["isas"]:
            env = {"GALE_ISA": isa}
            out = self.ok_json("bench", "-m", DATA / "llama3", "-p", "0", "-n", "1", "-r", "1", "-t", "1", env=env)
            self.assertEqual((out["isa"], out["roofline"]["isa"]), (isa, isa))
            self.assertEqual(self.ok_json("doctor", env=env)["cpu"]["isa"], isa)
        for args in (["bench", "-n", "1", "-m"], ["run", "-i", "x", "-m"], ["inspect", "--fit"]):
            self.fails(1, *args, self.model, env={"GALE_ISA": "sse9"}, says="sse9")

    def test_fit_predicts_the_load(self):
        def predicted(*args):
            return self.ok_json("inspect", *args, "--fit")["fit"]

        case = DATA / "llama3"
        plain = predicted(case)
        for args, key, factor in ((["--kv-type", "f32"], "kv_bytes_per_token", 2), (["--precision", "exact"], "kv_bytes_per_token", 2)):
            self.assertEqual(predicted(case, *args)[key], factor * plain[key])
        self.assertLess(predicted(case, "--quant", "q8_0")["packed_bytes"], plain["packed_bytes"])
        self.assertLess(predicted(case, "--batch-tokens", "64")["scratch_bytes"], plain["scratch_bytes"] / 6)
        self.assertEqual((plain["step_tokens"], plain["kv_type"], plain["problem"]), (512, "bf16", ""))
        self.assertEqual(predicted(case, "--ctx", "100")["context"], 100)
        far = predicted(case, "--ctx", str(1 << 30))
        self.assertEqual(far["context"], 0)
        self.assertIn("lower the context", far["problem"])
        bench = self.ok_json("bench", "-m", case, "--quant", "q8_0", "-p", "0", "-n", "1", "-r", "1")
        self.assertEqual(predicted(case, "--quant", "q8_0")["packed_bytes"], bench["packed_bytes"])
        self.fails(2, "inspect", case, "--fit", "--kv-type", "q1", says="--kv-type")

    def test_doctor(self):
        out = self.ok_json("doctor")
        for key in ("build", "cpu", "memory", "cuda", "features", "formats"):
            self.assertIn(key, out)
        self.assertIn(out["cpu"]["isa"], out["cpu"]["isas"])
        for feature in out["features"]:
            self.assertTrue(feature["enabled"] or feature["hint"], feature)
        states = {f["name"]: f["state"] for f in out["formats"]}
        self.assertEqual(states["q8_0"], "stable")
        self.assertIn("q4_k_m", self.ok("doctor"))
        broken = gale("doctor", env={"GALE_ISA": "sse9"})
        self.assertEqual(broken.returncode, 1)
        self.assertIn("sse9", broken.stderr)
        self.assertEqual(self.ok_json("doctor", env={"GALE_ISA": "generic"})["cpu"]["isa"], "generic")


@unittest.skipUnless(DEMO.exists(), "models/demo/gale-demo.gguf is not there")
class Demo(CliTest):
    def test_it_answers(self):
        self.assertIn("37", self.ok("run"))
        self.assertIn("37", self.ok("run", "-i", "What is 13 plus 24?"))
        self.assertTrue(self.ok_json("inspect", "demo")["runs"])


if __name__ == "__main__":
    if not GALE.exists():
        print(f"{GALE} is not there: build it, or name another in GALE_BINARY", file=sys.stderr)
        sys.exit(1)
    unittest.main()
