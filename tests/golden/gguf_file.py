"""Writes a Llama as one GGUF by the package gguf, every matrix in another of the types that it makes."""

from pathlib import Path

import gguf
import torch
from transformers import PreTrainedModel

TYPES = ("q4_0", "q5_1", "tq1_0", "q8_0", "q4_1", "mxfp4", "q5_0", "tq2_0", "bf16")
WIDE = ("tq1_0", "tq2_0")  # blocks of 256


class Packed:
    """What stands for the weights in the file, as quantized.Packed."""

    config: dict = {}

    def __init__(self, model: PreTrainedModel):
        self.model = model.config
        self.tensors: dict = {}  # name -> (type, bytes)
        self.weights: dict[str, torch.Tensor] = {}
        self.misread = {"columns of GGUF swapped": {}}
        with torch.no_grad():
            matrices = [(n, p) for n, p in model.named_parameters() if p.dim() == 2]
            for i, (name, p) in enumerate(matrices):
                kind = TYPES[i % len(TYPES)] if "layers" in name else "q8_0"
                kind = "q4_0" if kind in WIDE and p.shape[1] % 256 else kind
                number = gguf.GGMLQuantizationType[kind.upper()]
                data = gguf.quants.quantize(self.interleaved(name, p.numpy()), number)
                self.tensors[name] = (number, data)
                value = torch.from_numpy(gguf.quants.dequantize(data, number).reshape(p.shape).copy())
                self.weights[name] = self.halves(name, value)
                p.copy_(self.weights[name])
                self.misread["columns of GGUF swapped"][name] = p.reshape(-1, 2).flip(1).reshape(p.shape).clone()

    def heads(self, name: str) -> int:
        return (self.model.num_attention_heads if "q_proj" in name else self.model.num_key_value_heads if "k_proj" in name else 0)

    def interleaved(self, name: str, w):
        """llama.cpp rotates neighbours where transformers rotates halves of a head (convert_hf_to_gguf.py, LlamaModel.permute)."""
        n = self.heads(name)
        return w.reshape(n, 2, -1, w.shape[1]).swapaxes(1, 2).reshape(w.shape) if n else w

    def halves(self, name: str, w):
        n = self.heads(name)
        return w.reshape(n, -1, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape) if n else w

    def write(self, dense: dict, out: Path) -> None:
        c = self.model
        writer = gguf.GGUFWriter(out / "model.gguf", "llama")
        writer.add_vocab_size(c.vocab_size)
        writer.add_context_length(c.max_position_embeddings)
        writer.add_embedding_length(c.hidden_size)
        writer.add_block_count(c.num_hidden_layers)
        writer.add_feed_forward_length(c.intermediate_size)
        writer.add_head_count(c.num_attention_heads)
        writer.add_head_count_kv(c.num_key_value_heads)
        writer.add_key_length(c.head_dim)
        writer.add_value_length(c.head_dim)
        writer.add_rope_dimension_count(c.head_dim)
        writer.add_rope_freq_base(c.rope_parameters["rope_theta"])
        writer.add_layer_norm_rms_eps(c.rms_norm_eps)
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, c.num_hidden_layers)
        for name, t in dense.items():
            file_name = names.get_name(name, try_suffixes=(".weight",))
            if name in self.tensors:
                number, data = self.tensors[name]
                writer.add_tensor(file_name, data, raw_dtype=number)
            else:
                writer.add_tensor(file_name, t.float().numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        for other in ("model.safetensors", "config.json", "generation_config.json"):
            (out / other).unlink(missing_ok=True)
