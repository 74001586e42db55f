#!/usr/bin/env python3
"""How fast `gale` downloads over loopback, against curl on the same file: the cost of ranges, hashing and fsync.

    bench/hub_download.py [--mb 512] [--runs 5]

Prints the median of each and the ratios. Gale checks every byte's SHA-256 and flushes the file to the disk; curl alone does neither, so it is
also followed by sha256sum and sync.
"""

import argparse
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/hub"))
from fake_hub import FakeHub, Repo  # noqa: E402


def model(size):
    header = json.dumps({"x": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + os.urandom(size)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=int, default=512)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    data = model(args.mb << 20)
    hub = FakeHub()
    config = (ROOT / "tests/golden/data/llama3/config.json").read_bytes()
    repo = hub.repos["org/model"] = Repo({"config.json": config, "model.safetensors": data})
    url = f"{hub.url('cdn')}/org/model/resolve/{repo.commit}/model.safetensors"
    gale = os.environ.get("GALE_BINARY", str(ROOT / "build/release/gale"))
    home = Path(tempfile.mkdtemp(prefix="gale-hub-bench-"))
    env = {**os.environ, "HF_HOME": str(home), "HF_ENDPOINT": hub.endpoint, "NO_PROXY": "*"}
    out = str(home / "out")
    commands = {"curl": ["curl", "-s", "-o", out, url], "gale": [gale, "inspect", "org/model"],
                "curl, sha256sum and sync": ["sh", "-c", 'curl -s -o "$0" "$1" && sha256sum "$0" && sync "$0"', out, url]}
    seconds = {name: [] for name in commands}
    try:
        for _ in range(args.runs):
            for name, command in commands.items():  # in turn, so that both see the same machine
                start = time.monotonic()
                subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
                seconds[name].append(time.monotonic() - start)
                shutil.rmtree(home)
                home.mkdir()
    finally:
        shutil.rmtree(home)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    for name, time_taken in median.items():
        print(f"{name}: {len(data) / time_taken / 1e6:.0f} MB/s")
    for name in commands.keys() - {"gale"}:
        print(f"gale / {name}: {median[name] / median['gale']:.2f}")


if __name__ == "__main__":
    main()
