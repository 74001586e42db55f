#!/usr/bin/env python3
"""`gale ... -m org/name` against a fake hub: what is fetched, what a fault does, who sees the token, what the cache looks like.

Runs $GALE_BINARY (default: build/release/gale) and needs only Python 3. Where huggingface_hub is installed (in $GALE_HUB_PYTHON, or
in the Python that runs this), it reads the cache that Gale wrote and the other way round.
"""

import fcntl
import json
import os
import pty
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from fake_hub import File, Repo, git_sha1  # noqa: E402
from hub_case import CONFIG, DEMO, GALE, HUB_PYTHON, LLAMA, MIB, WEIGHTS, HubTest, noise, safetensors, tokenizer_files  # noqa: E402


class FromNameToText(HubTest):
    def test_a_gguf_answers_as_the_same_file_here_does(self):
        self.add("org/demo-GGUF", {"demo-Q8_0.gguf": DEMO, "README.md": b"# demo"})
        ask = ["-i", "What is 13 plus 24?", "-n", "8"]
        self.assertEqual(self.ok("run", "-m", "org/demo-GGUF", *ask).stdout, self.ok("run", "-m", "demo", *ask).stdout)

    def test_the_cache_is_laid_out_as_huggingface_hub_does(self):
        repo = self.add_model()
        self.ok("inspect", "org/model")
        folder = self.folder()
        self.assertEqual((folder / "refs/main").read_text(), repo.commit)
        for name, path in self.snapshot(repo).items():
            file = repo.files[name]
            self.assertEqual(os.readlink(path), f"../../blobs/{file.etag}")
            self.assertEqual(path.read_bytes(), file.data)
        umask = os.umask(0)
        os.umask(umask)
        for blob in (folder / "blobs").iterdir():
            self.assertEqual(stat.S_IMODE(blob.stat().st_mode), 0o666 & ~umask)
        locks = list((self.cache / ".locks/models--org--model").iterdir())
        self.assertEqual({p.name for p in locks}, {f.etag + ".lock" for f in repo.files.values()})
        self.assertTrue(all(stat.S_IMODE(p.stat().st_mode) == 0o664 for p in locks))
        self.assertTrue((self.cache / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55"))

    def test_what_is_there_is_not_fetched_again(self):
        self.add_model()
        self.ok("inspect", "org/model")
        self.hub.forget()
        self.ok("inspect", "org/model")
        self.assertEqual(len(self.hub.requests()), 1)  # the list
        # A new commit shares the blobs it did not change.
        self.hub.repos["org/model"] = repo = Repo({"config.json": CONFIG + b"\n", "model.safetensors": WEIGHTS})
        self.hub.forget()
        self.ok("inspect", "org/model")
        self.assertEqual(len(self.hub.requests(contains="safetensors")), 0)
        self.assertEqual((self.folder() / "refs/main").read_text(), repo.commit)

    def test_revisions(self):
        repo = self.add_model()
        repo.revisions = {"refs/pr/1", "v1"}
        self.ok("inspect", "org/model@refs/pr/1")
        self.assertEqual((self.folder() / "refs/refs/pr/1").read_text(), repo.commit)
        self.ok("inspect", f"org/model@{repo.commit}")
        self.ok("inspect", "org/model@v1")
        self.assertEqual({p.name for p in (self.folder() / "refs").iterdir()}, {"refs", "v1"})
        self.fails("inspect", "org/model@v2", says=["org/model@v2", "no such revision"])

    def test_a_path_that_exists_wins(self):
        self.add_model()
        shutil.copytree(LLAMA, self.home / "org/model")
        self.ok("inspect", "org/model")
        self.assertEqual(self.hub.requests(), [])

    def test_a_name_that_is_neither(self):
        self.fails("inspect", "org/nothing", says=["org/nothing does not exist as a file or folder", "repository", "gale login", "401"])
        for path in ("./org/model", "/org/model", "org/model.gguf", "../x/y", "org", "org/model/x.safetensors", "org/--x", "a/b/c"):
            self.hub.forget()
            self.fails("inspect", path, says="does not exist")
            self.assertEqual(self.hub.requests(), [], path)

    def test_every_command_takes_a_repository(self):
        self.add_model(**tokenizer_files())
        text = self.home / "text"
        text.write_text("some text to read")
        self.ok("logits", "-m", "org/model", "--tokens", "1,2")
        self.ok("bench", "-m", "org/model", "-p", "4", "-n", "2")
        self.ok("perplexity", "-m", "org/model", "-f", text)
        self.ok("quantize", "-m", "org/model", "--type", "q8_0", "-o", self.home / "o.gguf")
        self.ok("run", "-m", "org/model", "--raw", "-i", "hello", "-n", "2")


class Choice(HubTest):
    def names(self, repo, name="org/model"):
        return set(self.snapshot(repo, name))

    def test_one_set_of_safetensors_and_nothing_else(self):
        junk = ["consolidated.safetensors", "original/consolidated.00.pth", "onnx/model.onnx", "pytorch_model.bin", "README.md",
                "model.fp16.safetensors", "flax_model.msgpack", "tokenizer.model", "model-Q4_K_M.gguf"]
        repo = self.add_model(**tokenizer_files(), **{name: noise(1000) for name in junk}, **{"generation_config.json": b"{}"})
        self.ok("inspect", "org/model")
        self.assertEqual(self.names(repo), {"config.json", "generation_config.json", "model.safetensors", *tokenizer_files()})

    def test_shards_by_the_index(self):
        shards = {f"model-0000{i}-of-00002.safetensors": safetensors({f"x{i}": noise(1000, i)}) for i in (1, 2)}
        index = {"weight_map": {f"x{i}": f"model-0000{i}-of-00002.safetensors" for i in (1, 2)}}
        files = {"config.json": CONFIG, "model.safetensors.index.json": json.dumps(index).encode(), **shards}
        repo = self.add("org/model", {**files, "consolidated.safetensors": noise(1000)})
        self.ok("inspect", "org/model")
        self.assertEqual(self.names(repo), set(files))
        del self.hub.repos["org/model"].files["model-00002-of-00002.safetensors"]
        shutil.rmtree(self.cache)
        self.fails("inspect", "org/model", says=["index.json names model-00002-of-00002.safetensors", "not there"])

    def test_an_index_cannot_name_files_elsewhere(self):
        for name in ("../../x.safetensors", "/etc/passwd", "sub/x.safetensors", "", 7):
            self.add("org/model", {"config.json": CONFIG, "model.safetensors.index.json": json.dumps({"weight_map": {"x": name}}).encode()})
            self.fails("inspect", "org/model", says="which is no file name")

    def gguf_repo(self):
        names = ["demo-Q4_K_M.gguf", "demo-Q8_0.gguf", "demo-IQ4_K_M.gguf", "BF16/demo-BF16.gguf", "mmproj-demo-Q8_0.gguf",
                 "demo.imatrix.gguf"]
        return self.add("org/demo", {name: DEMO + bytes(i) for i, name in enumerate(names)})

    def test_one_gguf_by_quant(self):
        repo = self.gguf_repo()
        self.ok("inspect", "org/demo", "--quant", "q8_0")
        self.assertEqual(self.names(repo, "org/demo"), {"demo-Q8_0.gguf"})
        self.ok("inspect", "org/demo", "--quant", "bf16")
        self.ok("inspect", "org/demo:q4_k_m")
        self.assertEqual(self.names(repo, "org/demo"), {"demo-Q8_0.gguf", "BF16/demo-BF16.gguf", "demo-Q4_K_M.gguf"})
        self.ok("inspect", "org/demo/demo-IQ4_K_M.gguf@main")
        self.fails("inspect", "org/demo/other.gguf", says=["other.gguf", "demo-Q8_0.gguf (2.8 MB)"])
        self.fails("inspect", "org/demo:Q2_K", says=["Q2_K", "demo-Q4_K_M.gguf"])
        self.fails("inspect", "org/demo", "--quant", "q5_0", says=["q5_0", "org/demo:TYPE", "demo-Q4_K_M.gguf (2.8 MB)"])

    def test_variables_in_paths_as_huggingface_hub_reads_them(self):
        self.add_model()
        for text in ("$BASE/a", "${BASE}/b"):
            self.ok("inspect", "org/model", env={"HF_HOME": text, "BASE": str(self.home / "base")})
            self.assertTrue((self.home / "base" / text[-1] / "hub" / "models--org--model").is_dir())
        self.assertFalse((self.home / "$BASE").exists())

    def test_what_was_had_stays_when_the_hub_refuses_it(self):
        repo = self.add_model()
        self.ok("inspect", "org/model")
        for status, headers in ((401, {}), (403, {"X-Error-Code": "GatedRepo"}), (404, {"X-Error-Code": "RepoNotFound"})):
            repo.always = ("status", status, headers)
            result = self.ok("inspect", "org/model")
            self.assertIn(f"answers {status}", result.stderr)
            self.assertIn("using what is in the cache", result.stderr)
        self.fails("inspect", "org/model@other", says="404")

    def test_a_type_that_only_the_repository_has(self):
        repo = self.add("org/demo", {"demo-IQ2_M.gguf": DEMO, "demo-UD-Q4_K_XL.gguf": DEMO + b"x"})
        self.ok("run", "-m", "org/demo", "--quant", "iq2_m", "-i", "hi", "-n", "2")
        self.assertEqual(self.names(repo, "org/demo"), {"demo-IQ2_M.gguf"})
        self.fails("run", "-m", "org/demo", "--quant", "q9_k", "-i", "hi", says=["no .gguf of type q9_k", "demo-IQ2_M.gguf", "q8_0"])

    def test_the_usual_type_without_one_and_it_says_so(self):
        repo = self.gguf_repo()
        result = self.ok("inspect", "org/demo")
        self.assertEqual(self.names(repo, "org/demo"), {"demo-Q4_K_M.gguf"})
        self.assertIn("taking demo-Q4_K_M.gguf", result.stderr)
        self.add("org/two", {"a-Q8_0.gguf": DEMO, "a-Q6_K.gguf": DEMO + b"x"})
        self.fails("inspect", "org/two", says=["2 models", "--quant", "a-Q8_0.gguf (2.8 MB)", "a-Q6_K.gguf"])

    def test_a_file_chosen_by_quant_is_taken_as_it_is(self):
        # The demo is not q4_0 in truth: were it quantized again, fewer bytes would be packed.
        self.add("org/demo", {"demo-Q4_0.gguf": DEMO, "demo-Q8_0.gguf": DEMO + b"x"})
        packed = lambda *args: json.loads(self.ok("inspect", *args, "--fit", "--json").stdout)["fit"]["packed_bytes"]  # noqa: E731
        self.assertEqual(packed("org/demo", "--quant", "q4_0"), packed("demo"))
        self.assertLess(packed("org/demo:Q8_0", "--quant", "q2_k"), packed("demo"))

    def test_a_ready_made_type_goes_before_quantizing(self):
        repo = self.add("org/both", {"config.json": CONFIG, "model.safetensors": WEIGHTS, "demo-Q4_0.gguf": DEMO})
        self.ok("inspect", "org/both", "--quant", "q4_0")
        self.assertEqual(self.names(repo, "org/both"), {"demo-Q4_0.gguf"})
        self.ok("inspect", "org/both")
        self.assertEqual(self.names(repo, "org/both"), {"demo-Q4_0.gguf", "config.json", "model.safetensors"})

    def test_all_splits_of_a_gguf(self):
        names = [f"Q8_0/m-Q8_0-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
        repo = self.add("org/split", {**{n: DEMO + bytes(i) for i, n in enumerate(names)}, "m-Q4_0.gguf": DEMO})
        self.gale("inspect", "org/split", "--quant", "Q8_0")
        self.assertEqual(self.names(repo, "org/split"), set(names))
        del repo.files[names[1]]
        self.fails("inspect", "org/split:Q8_0", says="only 2 of the 3 parts")

    def test_text_alone_needs_no_weights(self):
        repo = self.add_model(**tokenizer_files())
        self.assertEqual(self.ok("tokenize", "-m", "org/model", "--ids", "ab").stdout, "64 65\n")
        chat = self.home / "chat.json"
        chat.write_text('[{"role": "user", "content": "hi"}]')
        self.assertEqual(self.ok("template", "-m", "org/model", "--messages", chat).stdout, "user:hi")
        self.assertNotIn("model.safetensors", self.names(repo))
        self.ok("inspect", "org/model")  # and what is missing comes then
        self.assertIn("model.safetensors", self.names(repo))

    def test_repositories_without_a_model(self):
        self.add("org/pickle", {"config.json": CONFIG, "pytorch_model.bin": noise(100)})
        self.fails("inspect", "org/pickle", says=["pickled", "pytorch_model.bin"])
        self.add("org/none", {"README.md": b"x"})
        self.fails("inspect", "org/none", says=["holds no model", "README.md"])


class Faults(HubTest):
    def test_ranges_in_parallel(self):
        repo, file = self.add_large()
        self.ok("inspect", "org/large")
        ranges = [e[3].get("Range") for e in self.hub.requests("cdn")]
        self.assertEqual(len(ranges), 3)
        self.assertEqual(len(set(ranges)), 3)
        self.whole(repo, file)

    def test_cut_connections_go_on_where_they_ended(self):
        repo, file = self.add_large(3 * MIB)
        file.faults = [("cut", MIB), ("cut", 300_000), ("cut", 0), ("cut", 100_000)]
        self.ok("inspect", "org/large")
        starts = [int(e[3].get("Range", "bytes=0-")[6:].split("-")[0]) for e in self.hub.requests("cdn")]
        self.assertEqual(starts, [0, MIB, MIB + 300_000, MIB + 300_000, MIB + 400_000])
        self.whole(repo, file)

    def test_cuts_in_every_piece(self):
        repo, file = self.add_large()
        file.faults = [("cut", n * 1_000_000) for n in (1, 3, 5, 7, 2)]
        self.ok("inspect", "org/large")
        self.whole(repo, file)

    def test_a_killed_download_is_resumed(self):
        repo, file = self.add_large()
        file.always = ("slow", MIB // 4, 0.02)
        process = self.start("inspect", "org/large")
        while sum(p.stat().st_blocks * 512 for p in self.leftovers()) < 12 * MIB:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.communicate()
        self.assertNotEqual(process.returncode, 0)
        self.assertNotIn("model.safetensors", self.snapshot(repo, "org/large"))
        self.hub.forget()
        file.always = None
        self.ok("inspect", "org/large")
        asked = 0
        for entry in self.hub.requests("cdn"):
            first, last = entry[3]["Range"][6:].split("-")
            asked += int(last) - int(first) + 1
        self.assertLess(asked, len(file.data) - 6 * MIB)
        self.whole(repo, file)

    def test_a_partial_file_that_does_not_fit_is_dropped(self):
        repo, file = self.add_large(3 * MIB)
        file.always = ("slow", MIB // 4, 0.1)
        process = self.start("inspect", "org/large")
        while sum(p.stat().st_blocks * 512 for p in self.leftovers()) < MIB:
            time.sleep(0.02)
        process.kill()
        process.communicate()
        file.always = None
        (partial,) = [p for p in self.leftovers() if p.name == file.etag + ".gale.incomplete"]
        with partial.open("r+b") as out:
            out.write(b"damage")
        result = self.ok("inspect", "org/large")
        self.assertIn("starting from its first byte", result.stderr)
        self.whole(repo, file)

    def test_a_reply_from_elsewhere_costs_nothing_that_is_there(self):
        repo, file = self.add_large(3 * MIB)
        file.faults = [("cut", 2 * MIB), ("status", 400)]  # a portal that wants a login, say
        self.fails("inspect", "org/large", says="400")
        self.hub.forget()
        self.ok("inspect", "org/large")
        self.assertEqual(self.hub.requests("cdn")[0][3]["Range"], f"bytes={2 * MIB}-{len(file.data) - 1}")
        self.whole(repo, file)

    def test_a_server_without_ranges(self):
        repo, file = self.add_large()
        file.ranges = False
        file.faults = [("cut", 5 * MIB), ("cut", 20 * MIB)]
        self.ok("inspect", "org/large")
        self.assertEqual(len(self.hub.requests("cdn")), 3)
        self.whole(repo, file)

    def nothing_kept(self, file):
        self.assertFalse((self.folder("org/large") / "blobs" / file.etag).exists())
        self.assertEqual(self.leftovers(), [])

    def test_wrong_bytes_are_not_kept(self):
        for size in (3 * MIB, 40 * MIB):
            _, file = self.add_large(size)
            file.always = ("corrupt",)
            self.fails("inspect", "org/large", says=["model.safetensors", "has the hash", file.etag, "nothing of it is kept"])
            self.nothing_kept(file)
        repo = self.add_model()
        repo.files["config.json"].always = ("corrupt",)
        self.fails("inspect", "org/model", says=["config.json", "has the hash", git_sha1(CONFIG)])

    def test_wrong_lengths(self):
        for size in (3 * MIB, 40 * MIB):
            for fault in (("length", 1000), ("longer",), ("total", 1000), ("shifted",)):
                if size == 3 * MIB and fault[0] in ("total", "shifted"):
                    continue  # comes whole, without a range
                if size == 40 * MIB and fault[0] == "length":
                    continue  # of a part: that is a cut connection
                _, file = self.add_large(size)
                file.always = fault
                self.fails("inspect", "org/large", says=["model.safetensors", "nothing of it is kept"])
                if size == 3 * MIB or fault[0] != "longer":  # other connections' bytes may be right
                    self.nothing_kept(file)
                shutil.rmtree(self.cache)

    def test_a_list_with_another_size(self):
        _, file = self.add_large(3 * MIB)
        file.listed_size -= 5
        self.fails("inspect", "org/large", says=["on the hub's list", "nothing of it is kept"])
        self.nothing_kept(file)

    def test_another_etag_on_the_way(self):
        repo = self.add_model()
        repo.files["config.json"].always = ("etag", "0" * 40)
        self.fails("inspect", "org/model", says=["config.json", "another file", "0" * 40])

    def test_lists_without_sizes_and_hashes(self):
        repo = self.add_model()
        for file in repo.files.values():
            file.listed = False
        self.ok("inspect", "org/model")
        self.assertEqual({p.name for p in (self.folder() / "blobs").iterdir()}, {f.etag for f in repo.files.values()})

    def test_slow_is_not_stalled(self):
        repo = self.add_model()
        repo.files["config.json"].faults = [("slow", len(CONFIG) // 8 + 1, 0.4)]
        start = time.monotonic()
        self.ok("inspect", "org/model", env={"HF_HUB_DOWNLOAD_TIMEOUT": "2"})
        self.assertGreater(time.monotonic() - start, 2.5)
        self.assertEqual(len(self.hub.requests(contains="config.json")), 1)

    def test_stalled_is_cut_and_resumed(self):
        repo, file = self.add_large(3 * MIB)
        file.faults = [("stall", 30)]
        start = time.monotonic()
        self.ok("inspect", "org/large", env={"HF_HUB_DOWNLOAD_TIMEOUT": "1"})
        self.assertLess(time.monotonic() - start, 15)
        self.assertEqual(len(self.hub.requests("cdn")), 2)
        self.assertTrue(self.hub.requests("cdn")[1][3]["Range"].startswith("bytes=1572"))
        self.whole(repo, file)

    def test_busy_servers_are_waited_for(self):
        repo, file = self.add_large(3 * MIB)
        repo.faults = [("status", 429, {"Retry-After": "1"}), ("status", 503)]
        file.faults = [("status", 500), ("status", 429, {"Retry-After": "1"}), ("status", 503, {"Retry-After": "0"})]
        start = time.monotonic()
        self.ok("inspect", "org/large")
        self.assertGreater(time.monotonic() - start, 2)
        self.whole(repo, file)

    def test_servers_that_never_answer(self):
        repo, file = self.add_large(3 * MIB)
        file.always = ("status", 502)
        self.fails("inspect", "org/large", says=["model.safetensors", "502"])
        repo.always = ("status", 429, {"Retry-After": "100000"})
        self.fails("inspect", "org/large", says=["no request for 1667 minutes", "429"])

    def test_refusals(self):
        repo = self.add_model()
        for status, says in ((403, "access is refused"), (404, "no such")):
            repo.files["model.safetensors"].always = ("status", status, {})
            self.fails("inspect", "org/model", says=["model.safetensors", str(status), says])
        self.add("org/gated", {}).always = ("status", 403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "ask first"})
        self.fails("inspect", "org/gated", says=["403", "ask first", "gale login"])
        self.add("org/private", {"config.json": CONFIG, "model.safetensors": WEIGHTS}).token = "hf_good"
        self.fails("inspect", "org/private", says=["401", "gale login"])
        self.fails("inspect", "org/private", says=["401", "token of HF_TOKEN"], env={"HF_TOKEN": "hf_bad"})
        self.ok("inspect", "org/private", env={"HF_TOKEN": "hf_good"})

    def test_answers_that_are_no_hub(self):
        repo = self.add_model()
        for body in (b"<html>", b"[]", b"{}", b'{"sha": "../../x"}', b'{"sha": "%s"}' % (b"0" * 40), b"\xff\x00", b'{"sha": 7, "siblings": 7}'):
            repo.always = ("status", 200, {}, body)
            self.fails("inspect", "org/model", says="org/model: the answer")
        repo.always = ("status", 418)
        self.fails("inspect", "org/model", says=["418", "HF_ENDPOINT"])

    def test_redirects_without_end_or_elsewhere(self):
        self.add_large(3 * MIB)
        self.hub.redirect = self.hub.url("hub")
        self.fails("inspect", "org/large", says="more than 10 times")
        for to in ("file://", "ftp://127.0.0.1", "gopher://127.0.0.1"):
            self.hub.redirect = to
            self.fails("inspect", "org/large", says="is not followed")

    def test_without_threads(self):
        repo, file = self.add_large()
        stack = (1 << 47, resource.getrlimit(resource.RLIMIT_STACK)[1])  # of each thread: more than there are addresses
        if stack[1] != resource.RLIM_INFINITY:
            self.skipTest("skipped: stacks are limited here, so that a thread's cannot be made too large")
        process = self.start("inspect", "org/large", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, stack))
        process.communicate(timeout=60)
        self.assertGreaterEqual(process.returncode, 0)
        self.whole(repo, file)

    def test_full_disk(self):
        _, file = self.add_large(3 * MIB)
        file.listed_size = 10**14
        self.fails("inspect", "org/large", says=["100000.00 GB", "has only", "free", "HF_HUB_CACHE"])
        self.assertEqual(self.hub.requests(contains="resolve"), [])

    def test_a_busy_hub_does_not_hold_up_what_is_cached(self):
        repo = self.add_model()
        self.ok("inspect", "org/model")
        for fault in (("status", 429, {"Retry-After": "300"}), ("silent", 20), ("dribble", 0.5)):
            repo.faults = [fault]
            start = time.monotonic()
            result = self.ok("inspect", "org/model")
            self.assertLess(time.monotonic() - start, 15)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
            self.assertIn("using what is in the cache", result.stderr)

    def test_a_cut_file_in_the_cache_is_fetched_again(self):
        repo = self.add_model()
        self.ok("inspect", "org/model")
        path = self.snapshot(repo)["model.safetensors"]
        os.truncate(path, 1000)
        self.hub.forget()
        self.ok("inspect", "org/model")
        self.assertEqual(path.read_bytes(), WEIGHTS)
        self.assertEqual(len(self.hub.requests(contains="config.json")), 0)
        path.unlink()  # where the file system has no links
        path.write_bytes(WEIGHTS[:1000])
        self.ok("inspect", "org/model")
        self.assertEqual(path.read_bytes(), WEIGHTS)

    def test_json_that_costs_stack_or_time(self):
        repo = self.add_model()
        deep = b"[" * 100_000 + b"]" * 100_000
        repo.faults = [("status", 200, {}, b'{"sha": "%s", "siblings": [{"rfilename": "x", "size": %s}]}' % (b"0" * 40, deep))]
        self.fails("inspect", "org/model", says="nested deeper than")
        repo.faults = [("status", 200, {}, b'{"a": [' + b"0," * 2_100_000 + b"0]}")]
        self.fails("inspect", "org/model", says="values")
        for value in (deep, b'{"a":' * 100_000 + b"1" + b"}" * 100_000):
            index = b'{"weight_map": {' + b",".join(b'"x%d": %s' % (i, value) for i in range(3)) + b"}}"
            self.add("org/model", {"config.json": CONFIG, "model.safetensors.index.json": index})
            self.fails("inspect", "org/model", says=["index.json", "nested deeper than"])
        index = {"weight_map": {f"x{i}": "a.safetensors" for i in range(100_000)}}
        self.add("org/model", {"config.json": CONFIG, "model.safetensors.index.json": json.dumps(index).encode()})
        start = time.monotonic()
        self.fails("inspect", "org/model", says=["a.safetensors", "not there"])
        self.assertLess(time.monotonic() - start, 5)

    def test_etags_that_are_no_hashes(self):
        repo = self.add_model(**tokenizer_files())
        for file in repo.files.values():
            file.listed, file.large = False, False
            file.named = 'W/"same"'
        result = self.ok("inspect", "org/model")
        self.assertEqual(result.stderr.count("unverified"), 1, result.stderr)
        for name, path in self.snapshot(repo).items():
            self.assertEqual(path.read_bytes(), repo.files[name].data)
        self.assertEqual(len(list((self.folder() / "blobs").iterdir())), len(repo.files))
        self.assertNotIn("unverified", self.ok("inspect", "org/model").stderr)

    def test_a_commit_is_answered_by_itself(self):
        repo = self.add_model()
        repo.revisions.add("1" * 40)
        self.fails("inspect", "org/model@" + "1" * 40, says=["another commit", repo.commit])
        self.assertEqual(self.hub.requests(contains="resolve"), [])

    def test_files_of_equal_content(self):
        self.add_model(**{"generation_config.json": CONFIG})
        self.assertEqual(self.ok("inspect", "org/model").stderr, "")
        self.assertEqual(len(self.hub.requests(contains="config.json")), 1)

    def test_hostile_names_and_sizes(self):
        before = {p for p in self.home.rglob("*")}
        for name in ("../evil.json", "/tmp/evil", "a/../../evil", "a\\..\\evil", "a\0b", "a\nb", "a//b", "", ".", "x" * 300, "a/./b"):
            repo = self.add_model()
            repo.files[name] = File(b"x")
            self.fails("inspect", "org/model", says="which no file here may be")
        for size in (-1, 2**63, 1e300, "7", 2**62):
            repo = self.add_model()
            repo.files["config.json"].listed_size = size
            self.fails("inspect", "org/model", says="which cannot be")
        self.assertEqual({p for p in self.home.rglob("*")}, before)


class Token(HubTest):
    def test_no_other_host_sees_it(self):
        repo, _ = self.add_large(3 * MIB)
        repo.token = "hf_good"
        self.ok("inspect", "org/large", env={"HF_TOKEN": "hf_good"})
        self.assertTrue(self.hub.requests("cdn"))
        self.assertEqual([e for e in self.hub.requests("cdn") if "Authorization" in e[3]], [])
        self.assertTrue(all(e[3].get("Authorization") == "Bearer hf_good" for e in self.hub.requests("hub")))

    def test_login_keeps_what_the_hub_knows(self):
        token = self.home / "token"
        self.fails("login", stdin="hf_bad\n", says=["401", "gale login"])
        self.assertFalse(token.exists())
        self.fails("login", stdin="two words", says="spaces")
        self.fails("login", stdin="\n", says="no token", code=2)
        self.assertIn("as tester", self.ok("login", stdin="hf_good\n").stdout)
        self.assertEqual(token.read_text(), "hf_good")
        self.assertEqual(stat.S_IMODE(token.stat().st_mode), 0o600)
        self.add_model().token = "hf_good"
        self.ok("inspect", "org/model")
        for env in ({"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}, {"HF_TOKEN_PATH": "/nowhere"}):
            self.fails("inspect", "org/model", env={"HF_HUB_CACHE": str(self.home / "none"), **env}, says="401")
            self.assertIn("401", self.ok("inspect", "org/model", env=env).stderr)  # and what was had stays
        self.ok("login", "--logout")
        self.assertFalse(token.exists())
        self.ok("login", "--token", "hf_good", env={"HF_TOKEN_PATH": str(self.home / "deep/er/token")})
        self.assertEqual((self.home / "deep/er/token").read_text(), "hf_good")

    def test_a_bad_token_is_a_fault_where_it_is_sent(self):
        token = self.home / "token"
        token.write_text("a b\n")
        self.add_model()
        self.fails("inspect", "org/model", says=["spaces", "gale login"])
        self.assertEqual(self.hub.requests(), [])
        self.ok("cache", "list")
        self.ok("login", "--token", "hf_good")
        self.ok("inspect", "org/model")
        token.write_text("a b\n")
        self.ok("inspect", "org/model", env={"HF_HUB_OFFLINE": "1"})
        self.ok("login", "--logout")
        self.assertFalse(token.exists())

    def test_logout_removes_no_folder(self):
        folder = self.home / "folder"
        folder.mkdir()
        self.fails("login", "--logout", env={"HF_TOKEN_PATH": str(folder)}, says=["is a folder", "HF_TOKEN_PATH"])
        self.assertTrue(folder.is_dir())

    def test_passwords_of_the_endpoint_do_not_show(self):
        for port in (9, self.hub.endpoint.rsplit(":", 1)[1]):
            result = self.fails("inspect", "org/none", env={"HF_ENDPOINT": f"http://me:secret@127.0.0.1:{port}"}, says="127.0.0.1")
            self.assertNotIn("secret", result.stderr)
        self.assertNotIn("secret", self.fails("cache", "list", env={"HF_ENDPOINT": "ftp://me:secret@x"}, says="HF_ENDPOINT").stderr)

    def test_a_terminal_shows_no_token(self):
        parent, child = pty.openpty()
        process = subprocess.Popen([str(GALE), "login"], stdin=child, stdout=child, stderr=child, env=self.environment(), close_fds=True)
        os.close(child)
        said = b""
        while b"): " not in said:
            said += os.read(parent, 1000)
        os.write(parent, b"hf_good\n")
        try:
            while block := os.read(parent, 1000):
                said += block
        except OSError:
            pass
        self.assertEqual(process.wait(30), 0, said)
        os.close(parent)
        self.assertNotIn(b"hf_good", said)
        self.assertIn(b"tester", said)


class Sharing(HubTest):
    def test_offline(self):
        self.add_model()
        self.fails("inspect", "org/model", env={"HF_HUB_OFFLINE": "1"}, says=["not in the cache", "HF_HUB_OFFLINE"])
        self.ok("inspect", "org/model")
        self.hub.forget()
        self.assertEqual(self.ok("inspect", "org/model", env={"HF_HUB_OFFLINE": "1"}).stderr, "")
        self.assertEqual(self.hub.requests(), [])
        (self.snapshot(self.hub.repos["org/model"])["model.safetensors"]).unlink()
        self.fails("inspect", "org/model", env={"TRANSFORMERS_OFFLINE": "1"}, says=["holds no model", "in the cache, which is all there is"])

    def test_offline_says_which_quantization_it_has(self):
        self.add("org/demo", {"demo-Q8_0.gguf": DEMO, "demo-Q4_K_M.gguf": DEMO + b"x"})
        self.ok("inspect", "org/demo:Q8_0")
        offline = {"HF_HUB_OFFLINE": "1"}
        result = self.ok("inspect", "org/demo", env=offline)
        for text in ("taking demo-Q8_0.gguf", "may have others", "HF_HUB_OFFLINE"):
            self.assertIn(text, result.stderr)
        self.assertEqual(self.ok("inspect", "org/demo:Q8_0", env=offline).stderr, "")
        self.fails("inspect", "org/demo:Q4_K_M", env=offline, says=["Q4_K_M", "demo-Q8_0.gguf", "all there is"])

    def test_without_a_network_the_cache_does(self):
        repo = self.add_model()
        down = {"HF_ENDPOINT": "http://127.0.0.1:9"}
        self.fails("inspect", "org/model", env=down, says=["org/model", "127.0.0.1"])
        self.ok("inspect", "org/model")
        result = self.ok("inspect", "org/model", env=down)
        self.assertEqual(len(result.stderr.splitlines()), 1)
        self.assertIn("using what is in the cache", result.stderr)
        repo.always = ("status", 503)
        self.assertIn("503", self.ok("inspect", "org/model").stderr)

    def test_waits_for_another_process(self):
        repo = self.add_model()
        path = self.cache / ".locks/models--org--model" / (repo.files["model.safetensors"].etag + ".lock")
        path.parent.mkdir(parents=True)
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = self.start("inspect", "org/model")
            time.sleep(1)
            self.assertIsNone(process.poll())
            self.assertEqual(self.hub.requests(contains="model.safetensors"), [])
        _, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, errors)
        self.assertIn("another process downloads it", errors)

    def test_the_lock_goes_away_while_somebody_waits(self):
        repo = self.add_model()
        path = self.cache / ".locks/models--org--model" / (repo.files["model.safetensors"].etag + ".lock")
        path.parent.mkdir(parents=True)
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = self.start("inspect", "org/model")
            while not self.hub.requests(contains="config.json"):
                time.sleep(0.05)
            time.sleep(0.5)
            self.fails("cache", "rm", "org/model", "--yes", says=["org/model", "being downloaded by another process"])
            self.assertTrue(self.folder().exists())
            shutil.rmtree(self.folder())
            shutil.rmtree(self.cache / ".locks")
        _, errors = process.communicate(timeout=30)
        self.assertNotIn("lock", errors.splitlines()[-1])
        self.assertTrue((self.folder() / "blobs" / repo.files["model.safetensors"].etag).exists())
        self.ok("inspect", "org/model")

    def test_two_at_once_fetch_each_file_once(self):
        repo, file = self.add_large(3 * MIB)
        file.always = ("slow", MIB // 4, 0.05)
        both = [self.start("inspect", "org/large") for _ in range(2)]
        for process in both:
            _, errors = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, errors)
        self.assertEqual(len(self.hub.requests("cdn")), 1)
        self.whole(repo, file)


class Cache(HubTest):
    def test_list_and_rm(self):
        self.assertIn("0 models", self.ok("cache", "list").stdout)
        self.add_model()
        self.ok("inspect", "org/model")
        first = self.hub.repos["org/model"].commit
        self.hub.repos["org/model"] = Repo({"config.json": CONFIG + b"\n", "model.safetensors": WEIGHTS}, revision="v2")
        self.ok("inspect", "org/model@v2")
        text = self.ok("cache", "list").stdout
        for word in ("org/model", "main", "v2", first[:8], "1 models", "3 files"):
            self.assertIn(word, text)
        (repo,) = json.loads(self.ok("cache", "list", "--json").stdout)["repos"]
        self.assertEqual((repo["repo"], repo["bytes"], len(repo["revisions"])), ("org/model", len(WEIGHTS) + 2 * len(CONFIG) + 1, 2))
        self.fails("cache", "rm", "org/model", says="--yes", code=2)
        self.fails("cache", "rm", "org/other", "--yes", says=["org/other", "it has org/model"])
        self.fails("cache", "rm", "org/model@v3", "--yes", says=["v3", "v2"])
        self.ok("cache", "rm", "org/model@v2", "--yes")
        (repo,) = json.loads(self.ok("cache", "list", "--json").stdout)["repos"]
        self.assertEqual((repo["bytes"], repo["revisions"][0]["refs"]), (len(WEIGHTS) + len(CONFIG), ["main"]))
        self.assertEqual(json.loads(self.ok("cache", "verify", "--json").stdout)["faults"], [])
        self.ok("cache", "rm", "org/model", "--yes")
        self.assertFalse(self.folder().exists())
        self.assertFalse((self.cache / ".locks/models--org--model").exists())

    def test_a_relative_cache(self):
        here = {"HF_HUB_CACHE": "./c3"}
        first = self.add_model()
        self.ok("inspect", "org/model", env=here)
        self.hub.repos["org/model"] = Repo({"config.json": CONFIG + b"\n", "model.safetensors": WEIGHTS}, revision="v2")
        self.ok("inspect", "org/model@v2", env=here)
        self.ok("cache", "rm", f"org/model@{first.commit[:8]}", "--yes", env=here)
        blobs = {p.name for p in (self.home / "c3/models--org--model/blobs").iterdir()}
        self.assertEqual(blobs, {f.etag for f in self.hub.repos["org/model"].files.values()})

    def test_a_cache_that_is_none(self):
        self.cache.mkdir()
        for name in ("models--org--loop", "loop"):
            (self.cache / name).symlink_to(name)
        self.assertIn("0 models", self.ok("cache", "list").stdout)
        file = self.home / "file"
        file.touch()
        self.fails("cache", "list", env={"HF_HUB_CACHE": str(file)}, says=["cannot read the cache", str(file)])

    def test_verify(self):
        repo = self.add_model()
        self.ok("inspect", "org/model")
        self.assertIn("2 files", self.ok("cache", "verify").stdout)
        for name in ("model.safetensors", "config.json"):
            path = self.snapshot(repo)[name].resolve()
            path.write_bytes(path.read_bytes()[:-1] + b"\0")
            result = self.fails("cache", "verify", "org/model", says=["damaged", "gale cache rm org/model"])
            self.assertIn(name, result.stdout)
        (self.folder() / "blobs" / repo.files["config.json"].etag).unlink()
        self.assertIn("not there", self.fails("cache", "verify").stdout)


INTEROP = """
import json, sys
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download
mode, commit = sys.argv[1:]
if mode == "write":
    print(snapshot_download("org/model"))
else:
    path = hf_hub_download("org/model", "model.safetensors", local_files_only=True)
    folder = snapshot_download("org/model", local_files_only=True)
    info = scan_cache_dir()
    assert not info.warnings, info.warnings
    (repo,) = info.repos
    (revision,) = repo.revisions
    assert revision.commit_hash == commit and "main" in revision.refs, revision
    print(json.dumps({"path": path, "folder": folder, "files": repo.nb_files, "bytes": repo.size_on_disk}))
"""


def has_huggingface_hub():
    return subprocess.run([HUB_PYTHON, "-c", "import huggingface_hub"], capture_output=True).returncode == 0


@unittest.skipUnless(has_huggingface_hub(), "skipped: the Python package huggingface_hub is not installed (GALE_HUB_PYTHON names a Python that has it)")
class Interop(HubTest):
    def python(self, mode, commit, env=()):
        result = subprocess.run([HUB_PYTHON, "-c", INTEROP, mode, commit], capture_output=True, text=True,
                                env=self.environment({"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", **dict(env)}))
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_python_reads_what_gale_wrote(self):
        repo = self.add_model()
        self.ok("inspect", "org/model")
        seen = json.loads(self.python("read", repo.commit, {"HF_HUB_OFFLINE": "1"}))
        self.assertEqual(Path(seen["path"]).read_bytes(), WEIGHTS)
        self.assertEqual((seen["files"], seen["bytes"]), (2, len(WEIGHTS) + len(CONFIG)))
        self.hub.forget()
        self.python("write", repo.commit)  # online it finds everything there
        self.assertEqual(self.hub.requests("cdn"), [])

    def test_gale_reads_what_python_wrote(self):
        repo = self.add_model()
        self.python("write", repo.commit)
        self.hub.forget()
        self.ok("inspect", "org/model")
        self.assertEqual(self.hub.requests(contains="resolve"), [])
        self.ok("inspect", "org/model", env={"HF_HUB_OFFLINE": "1"})
        self.ok("cache", "verify")
        self.assertEqual(json.loads(self.ok("cache", "list", "--json").stdout)["repos"][0]["revisions"][0]["commit"], repo.commit)


if __name__ == "__main__":
    unittest.main()
