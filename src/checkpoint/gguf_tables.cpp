#include "checkpoint/gguf_tables.h"

#include <algorithm>

#include "base/fail.h"

namespace gale {
namespace {

constexpr GgufArchitecture kArchitectures[] = {
    {"llama", "LlamaForCausalLM", "llama", true},  // and Mistral, Mixtral: see gguf_config
    {"qwen2", "Qwen2ForCausalLM", "qwen2", false},
    {"qwen3", "Qwen3ForCausalLM", "qwen3", false},
    {"qwen2moe", "Qwen2MoeForCausalLM", "qwen2_moe", false},
    {"qwen3moe", "Qwen3MoeForCausalLM", "qwen3_moe", false},
};

struct NamePair {
  std::string_view gguf, hf;
};

// Without their ".weight" or ".bias".
constexpr NamePair kOutside[] = {{"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
constexpr std::string_view kSame[] = {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"};
constexpr NamePair kInLayer[] = {
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_qkv", "self_attn.qkv_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"attn_sinks", "self_attn.sinks"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"ffn_gate_inp", "mlp.gate"},
    {"ffn_gate_exps", "mlp.experts.gate_proj"},
    {"ffn_up_exps", "mlp.experts.up_proj"},
    {"ffn_down_exps", "mlp.experts.down_proj"},
    {"ffn_gate_up_exps", "mlp.experts.gate_up_proj"},
    {"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
    {"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
    {"ffn_up_shexp", "mlp.shared_expert.up_proj"},
    {"ffn_down_shexp", "mlp.shared_expert.down_proj"},
};

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Takes "N." off the front of `rest`; "" where there is none.
std::string_view take_number(std::string_view& rest) {
  const std::string_view number = rest.substr(0, rest.find('.'));
  if (!is_number(number) || number.size() == rest.size()) return {};
  rest.remove_prefix(number.size() + 1);
  return number;
}

/// Splits "attn_q.weight" into "attn_q" and ".weight".
std::pair<std::string_view, std::string_view> split_suffix(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == name.npos ? std::pair(name, std::string_view()) : std::pair(name.substr(0, dot), name.substr(dot));
}

}  // namespace

std::span<const GgufArchitecture> gguf_architectures() { return kArchitectures; }

const GgufArchitecture* find_gguf_architecture(std::string_view name) {
  const std::string lower = lower_case(name);
  for (const GgufArchitecture& known : kArchitectures)
    if (known.gguf == lower) return &known;
  return nullptr;
}

std::string hf_tensor_name(std::string_view name) {
  if (!name.starts_with("blk.")) {
    const auto [stem, suffix] = split_suffix(name);
    for (const NamePair& pair : kOutside)
      if (pair.gguf == stem) return std::string(pair.hf) + std::string(suffix);
    return std::string(name);
  }
  std::string_view rest = name.substr(4);
  const std::string_view layer = take_number(rest);
  if (layer.empty()) return std::string(name);
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  const auto [stem, suffix] = split_suffix(rest);
  for (const NamePair& pair : kInLayer)
    if (pair.gguf == stem) return fmt::format("{}{}{}", prefix, pair.hf, suffix);
  const auto [projection, expert] = split_suffix(stem);  // "ffn_gate.7": one tensor per expert
  for (const NamePair& pair : kInLayer)
    if (pair.gguf == projection && pair.hf.starts_with("mlp.") && !expert.empty() && is_number(expert.substr(1)))
      return fmt::format("{}mlp.experts{}{}{}", prefix, expert, pair.hf.substr(3), suffix);
  return prefix + std::string(rest);
}

std::optional<std::string> gguf_tensor_name(std::string_view name) {
  if (std::find(std::begin(kSame), std::end(kSame), name) != std::end(kSame)) return std::string(name);
  const auto [stem, suffix] = split_suffix(name);
  if (suffix != ".weight" && suffix != ".bias") return std::nullopt;
  for (const NamePair& pair : kOutside)
    if (pair.hf == stem) return std::string(pair.gguf) + std::string(suffix);
  constexpr std::string_view kLayers = "model.layers.";
  if (!stem.starts_with(kLayers)) return std::nullopt;
  std::string_view rest = stem.substr(kLayers.size());
  const std::string_view layer = take_number(rest);
  if (layer.empty()) return std::nullopt;
  for (const NamePair& pair : kInLayer)
    if (pair.hf == rest) return fmt::format("blk.{}.{}{}", layer, pair.gguf, suffix);
  return std::nullopt;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  return out;
}

std::string gguf_architecture_name(const GgufFile& file) {
  const std::string* name = file.text("general.architecture");
  const auto plain = [](char c) { return c > ' ' && c <= '~'; };
  require(name && !name->empty() && name->size() <= 64 && std::all_of(name->begin(), name->end(), plain), ErrorCode::corrupt,
          "{}: key 'general.architecture' is missing or no plain name", file.name());
  return *name;
}

}  // namespace gale
