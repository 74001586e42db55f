#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/fail.h"
#include "base/json.h"
#include "checkpoint/gguf_names.h"
#include "checkpoint/gguf_tables.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_experts.h"

namespace gale {
namespace {

using Width = GgufWriter::Width;

std::string target_architecture(const Json& config) {
  const auto list = config.find("architectures");
  const bool named = list != config.end() && list->is_array() && !list->empty() && list->front().is_string();
  const std::string name = named ? list->front().get<std::string>() : std::string();
  constexpr std::pair<std::string_view, std::string_view> kTargets[] = {
      {"llamaforcausallm", "llama"}, {"mistralforcausallm", "llama"}, {"mixtralforcausallm", "llama"},
      {"qwen2forcausallm", "qwen2"}, {"qwen3forcausallm", "qwen3"},   {"qwen3moeforcausallm", "qwen3moe"}};
  for (const auto& [hf, gguf] : kTargets)
    if (hf == lower_case(name)) return std::string(gguf);
  fail(ErrorCode::unsupported,
       "'{}' cannot be written as GGUF: Gale has no names for its tensors there. Use its safetensors as they are, or write a "
       "LlamaForCausalLM, MistralForCausalLM, MixtralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM or Qwen3MoeForCausalLM",
       name);
}

/// Collects entries under "<arch>." from a config's fields.
class Metadata {
 public:
  Metadata(const Json& config, std::string architecture, std::vector<GgufEntry>& out)
      : config_(config), prefix_(std::move(architecture)), out_(out) {}

  /// The field as a whole number of at least 1, nullopt where absent or null.
  std::optional<int64_t> count(const char* field) const {
    const auto found = config_.find(field);
    if (found == config_.end() || found->is_null()) return std::nullopt;
    require(found->is_number_integer() && found->get<int64_t>() > 0 && found->get<int64_t>() <= INT32_MAX, ErrorCode::corrupt,
            "config: {} is {}, expected a whole number from 1 to {}", field, found->dump(), INT32_MAX);
    return found->get<int64_t>();
  }
  int64_t needed(const char* field) const {
    const auto value = count(field);
    require(value.has_value(), ErrorCode::corrupt, "config: {} is missing", field);
    return *value;
  }
  static std::optional<double> number(const Json& object, const char* field) {
    const auto found = object.find(field);
    if (found == object.end() || found->is_null()) return std::nullopt;
    require(found->is_number() && std::isfinite(found->get<double>()), ErrorCode::corrupt, "config: {} is {}, expected a number",
            field, found->dump());
    return found->get<double>();
  }
  void put(std::string_view key, GgufValue value, Width width) {
    out_.push_back({fmt::format("{}.{}", prefix_, key), std::move(value), width});
  }
  void put_count(std::string_view key, int64_t value) { put(key, value, Width::u32); }
  void put_number(std::string_view key, std::optional<double> value) {
    if (value) put(key, *value, Width::f32);
  }
  const Json& config() const { return config_; }

 private:
  const Json& config_;
  std::string prefix_;
  std::vector<GgufEntry>& out_;
};

void put_yarn(Metadata& out, const Json& scaling, double factor) {
  out.put("rope.scaling.type", std::string("yarn"), Width::string);
  out.put_number("rope.scaling.factor", factor);
  const auto context = Metadata::number(scaling, "original_max_position_embeddings");
  out.put_count("rope.scaling.original_context_length", context ? int64_t(*context) : out.needed("max_position_embeddings"));
  out.put_number("rope.scaling.yarn_beta_fast", Metadata::number(scaling, "beta_fast"));
  out.put_number("rope.scaling.yarn_beta_slow", Metadata::number(scaling, "beta_slow"));
  if (const auto attention = Metadata::number(scaling, "attention_factor"))
    out.put_number("rope.scaling.attn_factor", *attention / (factor > 1 ? 0.1 * std::log(factor) + 1 : 1));
}

/// llama3's scaling has no key: it travels as the tensor rope_freqs.weight.
void put_rope(Metadata& out, int64_t head_dim) {
  const Json& config = out.config();
  const double rotated = Metadata::number(config, "partial_rotary_factor").value_or(1.0) * double(head_dim);
  out.put_count("rope.dimension_count", int64_t(rotated));
  out.put_number("rope.freq_base", Metadata::number(config, "rope_theta").value_or(10000.0));
  const auto scaling = config.find("rope_scaling");
  if (scaling == config.end() || !scaling->is_object()) return;
  const auto found = scaling->find("rope_type");
  const std::string type = found != scaling->end() && found->is_string() ? found->get<std::string>() : std::string();
  if (type == "llama3" || type == "default") return;
  require(type == "linear" || type == "yarn", ErrorCode::unsupported,
          "rope scaling '{}' cannot be written as GGUF; linear, yarn and llama3 can", type);
  const auto factor = Metadata::number(*scaling, "factor");
  require(factor && *factor > 0, ErrorCode::corrupt, "config: rope_scaling's factor must be a positive number");
  if (type == "yarn") return put_yarn(out, *scaling, *factor);
  out.put("rope.scaling.type", std::string("linear"), Width::string);
  out.put_number("rope.scaling.factor", factor);
}

/// The config is normalized: the window holds on every layer, or on those that layer_types names. For llama (Mistral) every layer
/// is what a reader takes without a pattern.
void put_window(Metadata& out, bool llama, int64_t layers) {
  const auto window = out.count("sliding_window");
  if (!window) return;
  std::vector<bool> sliding(size_t(layers), true);
  if (const auto types = out.config().find("layer_types"); types != out.config().end() && types->is_array()) {
    require(types->size() == sliding.size(), ErrorCode::corrupt, "config: layer_types has {} entries for {} layers",
            types->size(), layers);
    for (size_t i = 0; i < sliding.size(); ++i) sliding[i] = (*types)[i] == "sliding_attention";
  }
  const auto count = std::count(sliding.begin(), sliding.end(), true);
  if (count == 0) return;
  out.put_count("attention.sliding_window", *window);
  if (!llama || count < layers) out.put("attention.sliding_window_pattern", sliding, Width::boolean_array);
}

/// Mixtral's experts have the width of "feed_forward_length"; qwen3moe's readers take the weights as normalized where nothing
/// says otherwise.
void put_experts(Metadata& out, bool llama) {
  const auto experts = out.count(llama ? "num_local_experts" : "num_experts");
  if (!experts) return;
  out.put_count("expert_count", *experts);
  out.put_count("expert_used_count", out.needed("num_experts_per_tok"));
  if (llama) return;
  out.put_count("expert_feed_forward_length", out.needed("moe_intermediate_size"));
  out.put("expert_weights_norm", out.config()["norm_topk_prob"] == true, Width::boolean);
}

/// GGUF has no key for the activation: a reader of these architectures takes silu.
void check_activation(const Json& config) {
  const auto found = config.find("hidden_act");
  require(found == config.end() || found->is_null() || *found == "silu" || *found == "swish", ErrorCode::unsupported,
          "config: hidden_act is {}, which cannot be written as GGUF; known are silu, swish",
          found == config.end() ? "" : found->dump());
}

void put_metadata(Metadata& out, bool llama) {
  const int64_t heads = out.needed("num_attention_heads"), hidden = out.needed("hidden_size"),
                layers = out.needed("num_hidden_layers");
  const int64_t head_dim = out.count("head_dim").value_or(hidden / heads);
  require(layers <= kMostLayers, ErrorCode::corrupt, "config: num_hidden_layers is {}", layers);
  check_activation(out.config());
  out.put_count("vocab_size", out.needed("vocab_size"));
  out.put_count("context_length", out.needed("max_position_embeddings"));
  out.put_count("embedding_length", hidden);
  out.put_count("block_count", layers);
  out.put_count("feed_forward_length", out.needed("intermediate_size"));
  out.put_count("attention.head_count", heads);
  out.put_count("attention.head_count_kv", out.count("num_key_value_heads").value_or(heads));
  out.put_count("attention.key_length", head_dim);
  out.put_count("attention.value_length", head_dim);
  out.put_number("attention.layer_norm_rms_epsilon", Metadata::number(out.config(), "rms_norm_eps").value_or(1e-6));
  put_rope(out, head_dim);
  put_window(out, llama, layers);
  put_experts(out, llama);
}

std::optional<std::string> name_in_gguf(const std::string& name) {
  const std::optional<ExpertName> expert = expert_name(name);
  return gguf_tensor_name(expert ? expert->fused : name);
}

/// The weight that a quantized checkpoint's part stands for: the longest stem of its name that is a weight's.
std::string logical_name(const std::string& name) {
  if (name_in_gguf(name)) return name;
  for (size_t dot = name.rfind('.'); dot != name.npos && dot > 0; dot = name.rfind('.', dot - 1))
    if (std::string weight = name.substr(0, dot) + ".weight"; name_in_gguf(weight)) return weight;
  return name;
}

bool computed_elsewhere(std::string_view name) {
  return name.ends_with(".rotary_emb.inv_freq") || name.ends_with(".masked_bias");
}

/// REQUIRES: the config is normalized.
GgufTarget target_of(const Json& config, std::span<const std::string> names) {
  GgufTarget out;
  out.architecture = target_architecture(config);
  const bool llama = out.architecture == "llama";
  out.metadata.push_back({"general.architecture", out.architecture, Width::string});
  Metadata metadata(config, out.architecture, out.metadata);
  put_metadata(metadata, llama);
  const bool tied = config.contains("tie_word_embeddings") && config["tie_word_embeddings"] == true;
  const auto heads = int32_t(metadata.needed("num_attention_heads"));
  const auto kv_heads = int32_t(metadata.count("num_key_value_heads").value_or(heads));
  std::set<std::string> seen;
  std::map<std::string, std::map<int64_t, std::string>> experts;  // GGUF name -> the tensors that become one
  for (const std::string& given : names) {
    const std::string name = logical_name(given);
    if (computed_elsewhere(name) || (tied && name == "lm_head.weight") || !seen.insert(name).second) continue;
    const std::optional<ExpertName> expert = expert_name(name);
    const std::optional<std::string> gguf = gguf_tensor_name(expert ? expert->fused : name);
    require(gguf.has_value(), ErrorCode::unsupported, "GGUF's {} has no name for the tensor {}", out.architecture, given);
    if (expert) {
      experts[*gguf][expert->expert] = name;
      continue;
    }
    out.names.emplace_back(name, *gguf);
    if (!llama) continue;
    if (name.find(".self_attn.q_proj.") != name.npos) out.interleave.emplace_back(name, heads);
    if (name.find(".self_attn.k_proj.") != name.npos) out.interleave.emplace_back(name, kv_heads);
  }
  for (const auto& [gguf, parts] : experts) {
    require(parts.rbegin()->first + 1 == int64_t(parts.size()), ErrorCode::corrupt,
            "{} is made from {} experts, but one of them is number {}", gguf, parts.size(), parts.rbegin()->first);
    for (const auto& [number, name] : parts) out.names.emplace_back(name, gguf);
  }
  if (!seen.contains("rope_freqs.weight")) out.rope_factors = rope_factors(config);
  return out;
}

}  // namespace

GgufTarget gguf_target(const Json& original, std::span<const std::string> names) {
  Json config = original;
  normalize_config(config);
  return target_of(config, names);
}

GgufTarget gguf_target(const Checkpoint& source) {
  std::vector<std::string> names;
  for (const RawTensor& tensor : source.tensors()) names.push_back(tensor.name);
  return target_of(source.config(), names);
}

}  // namespace gale
