#include <algorithm>
#include <charconv>
#include <map>

#include "base/json.h"
#include "checkpoint/checkpoint.h"

namespace gale {
namespace {

// Where text models keep their layers. Layers of image and audio towers lie under other prefixes and count as "other".
constexpr std::string_view kLayerPrefixes[] = {
    "model.layers.",
    "model.language_model.layers.",
    "language_model.model.layers.",
    "transformer.h.",
    "model.decoder.layers.",
    "gpt_neox.layers.",
    "backbone.layers.",
    "encoder.layer.",
    "bert.encoder.layer.",
    "roberta.encoder.layer.",
    "layers.",
    "h.",
};
constexpr std::string_view kEmbeddings[] = {
    "model.embed_tokens.",
    "model.language_model.embed_tokens.",
    "language_model.model.embed_tokens.",
    "transformer.wte.",
    "model.decoder.embed_tokens.",
    "gpt_neox.embed_in.",
    "backbone.embeddings.",
    "embeddings.word_embeddings.",
    "bert.embeddings.word_embeddings.",
    "roberta.embeddings.word_embeddings.",
    "embed_tokens.",
    "wte.",
};
constexpr std::string_view kHeads[] = {"lm_head.", "language_model.lm_head.", "model.lm_head.", "embed_out.", "output."};

template <size_t N>
bool begins_with_any(std::string_view name, const std::string_view (&prefixes)[N]) {
  for (std::string_view prefix : prefixes)
    if (name.starts_with(prefix)) return true;
  return false;
}

/// The layer a tensor belongs to, -1 for none.
int64_t layer_of(std::string_view name) {
  for (std::string_view prefix : kLayerPrefixes) {
    if (!name.starts_with(prefix)) continue;
    int64_t layer = -1;
    const char* end = name.data() + name.size();
    const auto [at, error] = std::from_chars(name.data() + prefix.size(), end, layer);
    if (error == std::errc() && at != end && *at == '.' && layer >= 0) return layer;
  }
  return -1;
}

/// The share of its experts that a token goes through, 1 where the config does not say.
double used_experts(const Json& config) {
  const auto number = [&](const char* key) {
    const auto it = config.find(key);
    return it != config.end() && it->is_number() ? it->get<double>() : 0;
  };
  const double used = number("num_experts_per_tok"),
               all = std::max({number("num_experts"), number("num_local_experts"), number("n_routed_experts")});
  return used > 0 && all > used ? used / all : 1;
}

}  // namespace

CheckpointSizes Checkpoint::sizes() const {
  CheckpointSizes out;
  CheckpointSizes::Part embedding{.name = "embedding"}, head{.name = "head"}, other{.name = "other"};
  std::map<int64_t, CheckpointSizes::Part> layers;
  for (const RawTensor& tensor : tensors_) {
    const int64_t layer = layer_of(tensor.name);
    CheckpointSizes::Part& part = layer >= 0                                  ? layers[layer]
                                  : begins_with_any(tensor.name, kEmbeddings) ? embedding
                                  : begins_with_any(tensor.name, kHeads)      ? head
                                                                              : other;
    ++part.tensors;
    part.parameters += tensor.elements();
    part.bytes += tensor.own_bytes();
    if (tensor.name.find(".experts.") != std::string::npos) {
      part.expert_bytes += tensor.own_bytes();
      part.expert_parameters += tensor.elements();
    }
    out.parameters += tensor.elements();
    out.bytes += tensor.own_bytes();
  }
  int64_t experts = 0;
  for (const auto& [number, part] : layers) experts += part.expert_parameters;
  out.used_experts = used_experts(*config_);
  out.active_parameters = out.parameters - int64_t(double(experts) * (1 - out.used_experts));
  out.tied_head = head.tensors == 0 && embedding.tensors > 0;
  if (embedding.tensors > 0) out.parts.push_back(std::move(embedding));
  for (auto& [number, part] : layers) {
    part.name = "layer " + std::to_string(number);
    out.parts.push_back(std::move(part));
  }
  if (head.tensors > 0) out.parts.push_back(std::move(head));
  if (other.tensors > 0) out.parts.push_back(std::move(other));
  return out;
}

}  // namespace gale
