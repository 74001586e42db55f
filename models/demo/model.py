"""A Llama-family decoder in plain torch, with the parameter names of Hugging Face's LlamaForCausalLM."""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Shape:
    vocab_size: int
    hidden_size: int = 256
    intermediate_size: int = 512
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5
    max_position_embeddings: int = 1024

    def hf_config(self, bos, eos, pad):
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "dtype": "float32",
            "tie_word_embeddings": True,
            "attention_bias": False,
            "mlp_bias": False,
            "initializer_range": 0.02,
            "bos_token_id": bos,
            "eos_token_id": eos,
            "pad_token_id": pad,
            **asdict(self),
        }


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin


class Attention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.heads, self.kv_heads, self.width = shape.num_attention_heads, shape.num_key_value_heads, shape.head_dim
        self.q_proj = nn.Linear(shape.hidden_size, self.heads * self.width, bias=False)
        self.k_proj = nn.Linear(shape.hidden_size, self.kv_heads * self.width, bias=False)
        self.v_proj = nn.Linear(shape.hidden_size, self.kv_heads * self.width, bias=False)
        self.o_proj = nn.Linear(self.heads * self.width, shape.hidden_size, bias=False)

    def _split(self, y, heads):
        return y.view(*y.shape[:2], heads, self.width).transpose(1, 2)

    def forward(self, x, rope, mask):
        group = self.heads // self.kv_heads
        q = rotate(self._split(self.q_proj(x), self.heads), *rope)
        k = rotate(self._split(self.k_proj(x), self.kv_heads), *rope).repeat_interleave(group, 1)
        v = self._split(self.v_proj(x), self.kv_heads).repeat_interleave(group, 1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.mlp = Mlp(shape)

    def forward(self, x, rope, mask):
        x = x + self.self_attn(self.input_layernorm(x), rope, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.num_hidden_layers))
        self.norm = nn.RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                depth = shape.num_hidden_layers if name.endswith(("o_proj.weight", "down_proj.weight")) else 0.5
                nn.init.normal_(weight, std=0.02 / (2 * depth) ** 0.5)

    def rope(self, length):
        steps = torch.arange(0, self.shape.head_dim, 2) / self.shape.head_dim
        angles = torch.outer(torch.arange(length), self.shape.rope_theta**-steps).repeat(1, 2)
        return angles.cos(), angles.sin()

    def forward(self, tokens, document, wanted):
        """Logits of the wanted positions; a token sees those before it in its own document."""
        same = document.unsqueeze(2) == document.unsqueeze(1)
        mask = same.tril().unsqueeze(1)
        rope = self.rope(tokens.shape[1])
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x, rope, mask)
        return F.linear(self.norm(x[wanted]), self.embed_tokens.weight)

    def hf_weights(self):
        return {f"model.{name}": weight.detach().contiguous() for name, weight in self.state_dict().items()}
