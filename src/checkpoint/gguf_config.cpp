#include <algorithm>
#include <cmath>

#include "base/fail.h"
#include "base/json.h"
#include "checkpoint/gguf_tables.h"
#include "checkpoint/hf_config.h"

namespace gale {
namespace {

/// A file's metadata below its architecture: "llama.block_count" is read as "block_count".
class Keys {
 public:
  Keys(const GgufFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}

  /// The full key: with the prefix as the file spells it, or in lower case where only that one is there.
  std::string full(std::string_view key) const {
    std::string name = fmt::format("{}.{}", prefix_, key);
    return file_.metadata().contains(name) ? name : fmt::format("{}.{}", lower_case(prefix_), key);
  }
  const std::string& file() const { return file_.name(); }
  bool has(std::string_view key) const { return file_.metadata().contains(full(key)); }
  std::optional<std::string> text(std::string_view key) const {
    const std::string* value = file_.text(full(key));
    return value ? std::optional(*value) : std::nullopt;
  }
  /// A count: 1 (or `least`) to 2^31-1. A list with one value for each layer counts as that value when all are the same.
  std::optional<int64_t> count(std::string_view key, int64_t least = 1) const {
    const std::string name = full(key);
    const auto found = file_.metadata().find(name);
    if (found == file_.metadata().end()) return std::nullopt;
    std::optional<int64_t> value;
    if (const auto* list = std::get_if<std::vector<int64_t>>(&found->second)) {
      require(!list->empty() && std::equal(list->begin() + 1, list->end(), list->begin()), ErrorCode::unsupported,
              "{}: key '{}' differs from layer to layer, which Gale's models do not know", file_.name(), name);
      value = list->front();
    } else {
      value = file_.integer(name);
    }
    require(*value >= least && *value <= INT32_MAX, ErrorCode::corrupt, "{}: key '{}' is {}, expected {} to {}", file_.name(),
            name, *value, least, INT32_MAX);
    return value;
  }
  /// A finite number. What was written as f32 gets the decimal it was written from: 1e-05, not 9.999999747378752e-06.
  std::optional<double> number(std::string_view key) const {
    const std::string name = full(key);
    const std::optional<double> value = file_.number(name);
    if (!value) return std::nullopt;
    require(std::isfinite(*value), ErrorCode::corrupt, "{}: key '{}' is {}, expected a finite number", file_.name(), name,
            *value);
    return double(float(*value)) == *value ? std::stod(fmt::format("{}", float(*value))) : *value;
  }
  std::optional<bool> flag(std::string_view key) const { return file_.boolean(full(key)); }
  std::optional<std::vector<bool>> layers(std::string_view key) const {
    const auto found = file_.metadata().find(full(key));
    const auto* list = found == file_.metadata().end() ? nullptr : std::get_if<std::vector<bool>>(&found->second);
    return list ? std::optional(*list) : std::nullopt;
  }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

const RawTensor* find_tensor(const GgufFile& file, std::string_view name) {
  for (const RawTensor& tensor : file.tensors())
    if (tensor.name == name) return &tensor;
  return nullptr;
}

bool has_layer_tensor(const GgufFile& file, std::string_view tail) {
  return std::any_of(file.tensors().begin(), file.tensors().end(),
                     [&](const RawTensor& tensor) { return tensor.name.starts_with("blk.") && tensor.name.ends_with(tail); });
}

Json yarn(const Keys& keys, double factor) {
  Json out = {{"rope_type", "yarn"}, {"factor", factor}};
  if (const auto context = keys.count("rope.scaling.original_context_length")) out["original_max_position_embeddings"] = *context;
  if (const auto fast = keys.number("rope.scaling.yarn_beta_fast")) out["beta_fast"] = *fast;
  if (const auto slow = keys.number("rope.scaling.yarn_beta_slow")) out["beta_slow"] = *slow;
  // GGUF's factor multiplies the default that Hugging Face's replaces.
  if (const auto attention = keys.number("rope.scaling.attn_factor"); attention && *attention != 1)
    out["attention_factor"] = *attention * (factor > 1 ? 0.1 * std::log(factor) + 1 : 1);
  return out;
}

void add_rope(Json& config, const Keys& keys) {
  config["rope_theta"] = keys.number("rope.freq_base").value_or(10000.0);
  config["rope_scaling"] = nullptr;
  const double factor = keys.number("rope.scaling.factor").value_or(keys.number("rope.scale_linear").value_or(0));
  // Files from before the key "type" scale linearly where they have a factor.
  const std::string type = keys.text("rope.scaling.type").value_or(factor > 0 ? "linear" : "none");
  if (type == "none" || type.empty()) return;
  if (type == "linear") {
    if (factor > 0 && factor != 1) config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", factor}};
  } else if (type == "yarn") {
    require(factor > 0, ErrorCode::corrupt, "{}: key '{}' is {}, expected more than 0", keys.file(),
            keys.full("rope.scaling.factor"), factor);
    config["rope_scaling"] = yarn(keys, factor);
  } else if (type == "longrope") {
    config["rope_scaling"] = {{"rope_type", "longrope"}};
    if (factor > 0) config["rope_scaling"]["factor"] = factor;
    if (const auto context = keys.count("rope.scaling.original_context_length"))
      config["rope_scaling"]["original_max_position_embeddings"] = *context;
  } else {
    fail(ErrorCode::unsupported, "{}: key '{}' is '{}'; known are none, linear, yarn and longrope", keys.file(),
         keys.full("rope.scaling.type"), type);
  }
}

void add_attention(Json& config, const GgufFile& file, const Keys& keys) {
  const auto heads = keys.count("attention.head_count"), hidden = keys.count("embedding_length");
  if (heads) {
    config["num_attention_heads"] = *heads;
    config["num_key_value_heads"] = keys.count("attention.head_count_kv").value_or(*heads);
  }
  std::optional<int64_t> width = keys.count("attention.key_length");
  if (!width && heads && hidden) width = *hidden / *heads;
  if (width) {
    config["head_dim"] = *width;
    if (const auto value_width = keys.count("attention.value_length"); value_width && *value_width != *width)
      config["v_head_dim"] = *value_width;
    if (const auto rotated = keys.count("rope.dimension_count"); rotated && *width > 0 && *rotated != *width)
      config["partial_rotary_factor"] = double(*rotated) / double(*width);
  }
  config["attention_bias"] = has_layer_tensor(file, ".attn_q.bias") || has_layer_tensor(file, ".attn_qkv.bias");
  config["mlp_bias"] = has_layer_tensor(file, ".ffn_up.bias");
}

/// Which layers look back only so far. A file's pattern names them; llama files (Mistral) without one mean all, as Mistral does;
/// the others ignore a window without a pattern, since converters copy it from configs that switch it off.
void add_window(Json& config, const Keys& keys, const GgufArchitecture* known) {
  const int64_t window = keys.count("attention.sliding_window", 0).value_or(0);
  const bool llama = known && known->gguf == "llama";
  if (!llama) config["use_sliding_window"] = false;
  config["sliding_window"] = nullptr;
  const auto pattern = keys.layers("attention.sliding_window_pattern");
  if (window == 0 || (!llama && known && !pattern)) return;
  config["sliding_window"] = window;
  if (!llama) config["use_sliding_window"] = true;
  if (!pattern) return;
  if (const auto layers = keys.count("block_count"))
    require(int64_t(pattern->size()) == *layers, ErrorCode::corrupt, "{}: key '{}' has {} entries for {} layers", keys.file(),
            keys.full("attention.sliding_window_pattern"), pattern->size(), *layers);
  Json types = Json::array();
  for (const bool sliding : *pattern) types.push_back(sliding ? "sliding_attention" : "full_attention");
  config["layer_types"] = std::move(types);
  config["max_window_layers"] = std::find(pattern->begin(), pattern->end(), true) - pattern->begin();
}

/// Layers with a router are sparse; nothing in the metadata says which those are.
void add_layer_types(Json& config, const GgufFile& file, const Keys& keys) {
  const int64_t layers = keys.count("block_count").value_or(0);
  if (file.tensors().empty() || layers > kMostLayers) return;
  std::vector<bool> dense(size_t(layers), false);
  for (int64_t i = 0; i < layers; ++i)
    dense[size_t(i)] = find_tensor(file, fmt::format("blk.{}.ffn_gate_inp.weight", i)) == nullptr;
  config["mlp_layer_types"] = mlp_layer_types(dense);
}

void add_experts(Json& config, const GgufFile& file, const Keys& keys, const GgufArchitecture* known) {
  const int64_t experts = keys.count("expert_count", 0).value_or(0);
  if (experts == 0) return;
  const bool mixtral = known && known->gguf == "llama";
  if (mixtral) {
    config["architectures"] = {"MixtralForCausalLM"};
    config["model_type"] = "mixtral";
  }
  config[mixtral ? "num_local_experts" : "num_experts"] = experts;
  if (const auto used = keys.count("expert_used_count")) config["num_experts_per_tok"] = *used;
  if (const auto width = keys.count("expert_feed_forward_length")) config["moe_intermediate_size"] = *width;
  if (const auto width = keys.count("expert_shared_feed_forward_length")) config["shared_expert_intermediate_size"] = *width;
  if (known && known->gguf == "qwen3moe") {
    config["norm_topk_prob"] = keys.flag("expert_weights_norm").value_or(true);
    add_layer_types(config, file, keys);
  }
  if (known && known->gguf == "qwen2moe") config["norm_topk_prob"] = false;
}

void add_vocabulary(Json& config, const GgufFile& file, const Keys& keys) {
  const RawTensor* embedding = find_tensor(file, "token_embd.weight");
  const auto* tokens = file.texts("tokenizer.ggml.tokens");
  if (embedding)
    config["vocab_size"] = embedding->rows();
  else if (const auto size = keys.count("vocab_size"))
    config["vocab_size"] = *size;
  else if (tokens)
    config["vocab_size"] = tokens->size();
  config["tie_word_embeddings"] = embedding && !find_tensor(file, "output.weight");
  if (const auto bos = file.integer("tokenizer.ggml.bos_token_id")) config["bos_token_id"] = *bos;
  if (const auto eos = file.integer("tokenizer.ggml.eos_token_id")) config["eos_token_id"] = *eos;
}

}  // namespace

Json gguf_config(const GgufFile& file, const GgufArchitecture* known) {
  const std::string name = gguf_architecture_name(file);
  const Keys keys(file, name);
  Json config;
  config["architectures"] = {known ? std::string(known->hf_class) : name};
  config["model_type"] = known ? std::string(known->model_type) : lower_case(name);
  constexpr std::pair<const char*, const char*> kCounts[] = {{"embedding_length", "hidden_size"},
                                                             {"feed_forward_length", "intermediate_size"},
                                                             {"block_count", "num_hidden_layers"},
                                                             {"context_length", "max_position_embeddings"}};
  for (const auto& [key, hf] : kCounts)
    if (const auto value = keys.count(key)) config[hf] = *value;
  constexpr std::pair<const char*, const char*> kNumbers[] = {{"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
                                                              {"attention.layer_norm_epsilon", "layer_norm_eps"},
                                                              {"attn_logit_softcapping", "attn_logit_softcapping"},
                                                              {"final_logit_softcapping", "final_logit_softcapping"}};
  for (const auto& [key, hf] : kNumbers)
    if (const auto value = keys.number(key)) config[hf] = *value;
  if (known) config["hidden_act"] = "silu";
  add_attention(config, file, keys);
  add_rope(config, keys);
  add_window(config, keys, known);
  if (known && known->gguf == "llama" && !config["sliding_window"].is_null()) {
    config["architectures"] = {"MistralForCausalLM"};
    config["model_type"] = "mistral";
  }
  add_experts(config, file, keys, known);
  add_vocabulary(config, file, keys);
  if (!known || file.tensors().empty()) return config;
  for (const char* key : {"embedding_length", "block_count", "attention.head_count", "attention.layer_norm_rms_epsilon"})
    require(keys.has(key), ErrorCode::corrupt, "{}: key '{}' is missing; the file was written by a faulty converter", file.name(),
            keys.full(key));
  return config;
}

}  // namespace gale
