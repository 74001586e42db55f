#!/usr/bin/env python3
"""Writes the files that fuzzing starts from: tiny.safetensors, and the config_*.json of tests/golden's families with every key that Gale reads.

    python3 make_seeds.py

tests/fuzz/config_fuzz.cpp has the tensors that these configs fit.
"""

import json
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent

SHAPE = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 6,
         "vocab_size": 10, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu"}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
CONFIGS = {
    "llama": {"architectures": ["LlamaForCausalLM"], "rope_theta": 5e5, "rope_scaling": LLAMA3, "tie_word_embeddings": True},
    "mistral": {"architectures": ["MistralForCausalLM"], "rope_theta": 1e4, "sliding_window": 4, "partial_rotary_factor": 1.0},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "rope_scaling": {"type": "linear", "factor": 2.0}, "sliding_window": 4,
              "use_sliding_window": True, "max_window_layers": 1},
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "sliding_window": 4,
              "use_sliding_window": True, "layer_types": ["full_attention", "sliding_attention"]},
}


def safetensors() -> bytes:
    """One tensor of each kind of shape and a few types, with metadata."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, dtype, width, shape in [("a.weight", "BF16", 2, [2, 3]), ("a.bias", "F32", 4, [2]), ("b", "F16", 2, []), ("c", "I8", 1, [0, 4]),
                                      ("d", "U8", 1, [1, 2, 3])]:
        size = width
        for n in shape:
            size *= n
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(range(at))


def main() -> None:
    (HERE / "tiny.safetensors").write_bytes(safetensors())
    for name, own in CONFIGS.items():
        (HERE / f"config_{name}.json").write_text(json.dumps(SHAPE | own) + "\n")


if __name__ == "__main__":
    main()
