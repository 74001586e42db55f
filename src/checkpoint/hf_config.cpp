#include "checkpoint/hf_config.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>
#include <string>

#include "base/fail.h"
#include "base/json.h"
#include "checkpoint/gguf_tables.h"

namespace gale {
namespace {

bool per_layer_type(const Json& rope) {
  for (const auto& [key, value] : rope.items())
    if (value.is_object()) return true;
  return false;
}

double positive(const Json& object, const char* key) {
  const auto found = object.find(key);
  require(found != object.end() && found->is_number() && found->get<double>() > 0 && std::isfinite(found->get<double>()),
          ErrorCode::corrupt, "config: {} must be a positive number, it is {}", key,
          found == object.end() ? "missing" : found->dump());
  return found->get<double>();
}

void normalize_rope(Json& config) {
  if (const auto parameters = config.find("rope_parameters"); parameters != config.end() && !parameters->is_null()) {
    require(parameters->is_object(), ErrorCode::corrupt, "config: rope_parameters is a {}, expected an object",
            parameters->type_name());
    if (!per_layer_type(*parameters)) {
      Json scaling = *parameters;
      for (const char* key : {"rope_theta", "partial_rotary_factor"})
        if (const auto found = scaling.find(key); found != scaling.end()) {
          const Json value = *found;
          scaling.erase(key);
          config[key] = value;
        }
      config["rope_scaling"] = std::move(scaling);
    }
  }
  const auto scaling = config.find("rope_scaling");
  if (scaling == config.end() || scaling->is_null()) return;
  require(scaling->is_object(), ErrorCode::corrupt, "config: rope_scaling is a {}, expected an object", scaling->type_name());
  if (per_layer_type(*scaling)) return;
  if (!scaling->contains("rope_type"))
    (*scaling)["rope_type"] = scaling->contains("type") ? Json((*scaling)["type"]) : Json("default");
  scaling->erase("type");
  const Json& type = (*scaling)["rope_type"];
  require(type.is_string(), ErrorCode::corrupt, "config: rope_scaling's rope_type is a {}, expected a string", type.type_name());
  // mrope files say "default" and carry "mrope_section": those stay.
  if (type == "default" && !scaling->contains("mrope_section")) *scaling = nullptr;
}

int64_t integer(const Json& config, std::string_view where, const char* key, int64_t least, int64_t most) {
  const auto found = config.find(key);
  require(found != config.end() && found->is_number_integer() && *found >= least && *found <= most, ErrorCode::corrupt,
          "{}: \"{}\" is {}, but it must be an integer from {} to {}", where, key,
          found == config.end() ? "missing" : found->dump(), least, most);
  return found->get<int64_t>();
}

/// As transformers' validate_layer_type does: one for each layer, of a known kind. Null counts as absent.
void check_layer_types(Json& config, std::string_view where) {
  const auto types = config.find("layer_types");
  if (types == config.end()) return;
  if (types->is_null()) {
    config.erase(types);
    return;
  }
  require(types->is_array(), ErrorCode::corrupt, "{}: \"layer_types\" is a {}, expected a list with one entry for each layer",
          where, types->type_name());
  const int64_t layers = integer(config, where, "num_hidden_layers", 1, kMostLayers);
  require(int64_t(types->size()) == layers, ErrorCode::corrupt, "{}: \"layer_types\" has {} entries for {} layers", where,
          types->size(), layers);
  for (size_t i = 0; i < types->size(); ++i)
    require((*types)[i] == "full_attention" || (*types)[i] == "sliding_attention", ErrorCode::unsupported,
            "{}: entry {} of \"layer_types\" is {}; known are \"full_attention\" and \"sliding_attention\"", where, i,
            (*types)[i].dump().substr(0, 80));
}

void no_window(Json& config, std::string_view) {
  config["sliding_window"] = nullptr;
  config.erase("layer_types");
}

void window_everywhere(Json& config, std::string_view) { config.erase("layer_types"); }

bool flag(const Json& config, std::string_view where, const char* key) {
  const auto found = config.find(key);
  require(found != config.end() && found->is_boolean(), ErrorCode::corrupt, "{}: \"{}\" is {}, but it must be true or false",
          where, key, found == config.end() ? "missing" : found->dump().substr(0, 80));
  return found->get<bool>();
}

/// Layers from max_window_layers on, unless layer_types lists them.
void window_above(Json& config, std::string_view where) {
  const bool windowed = flag(config, where, "use_sliding_window") && !config["sliding_window"].is_null();
  if (windowed && !config.contains("layer_types")) {
    const int64_t layers = integer(config, where, "num_hidden_layers", 1, kMostLayers);
    const int64_t first = integer(config, where, "max_window_layers", 0, INT32_MAX);
    Json types = Json::array();
    for (int64_t i = 0; i < layers; ++i) types.push_back(i >= first ? "sliding_attention" : "full_attention");
    config["layer_types"] = std::move(types);
  }
  if (!windowed) no_window(config, where);
}

void window_where_used(Json& config, std::string_view where) {
  if (!flag(config, where, "use_sliding_window")) config["sliding_window"] = nullptr;
  config.erase("layer_types");
}

/// Which layers have no experts but a plain MLP.
void settle_qwen3_moe(Json& config, std::string_view where) {
  window_where_used(config, where);
  if (const auto alias = config.find("num_local_experts"); alias != config.end()) {
    const Json experts = *alias;
    config.erase("num_local_experts");
    config["num_experts"] = experts;
  }
  if (!config.contains("num_experts")) config["num_experts"] = 128;
  if (config.contains("mlp_layer_types")) return;
  const int64_t layers = integer(config, where, "num_hidden_layers", 1, kMostLayers);
  const int64_t step = integer(config, where, "decoder_sparse_step", 1, INT32_MAX);
  std::vector<bool> dense;
  for (int64_t i = 0; i < layers; ++i) dense.push_back((i + 1) % step != 0);
  if (const Json& only = config["mlp_only_layers"]; !only.is_null()) {
    require(only.is_array(), ErrorCode::corrupt, "{}: \"mlp_only_layers\" is a {}, expected a list of layers", where,
            only.type_name());
    for (const Json& layer : only) {
      require(layer.is_number_integer(), ErrorCode::corrupt, "{}: \"mlp_only_layers\" has {}, expected numbers of layers", where,
              layer.dump().substr(0, 80));
      if (layer >= 0 && layer < layers) dense[layer.get<size_t>()] = true;
    }
  }
  config["mlp_layer_types"] = mlp_layer_types(dense);
}

/// Rotates whole heads whatever the file says, as their default rope does in transformers; its scaled ones would take the factor
/// and then fail on the shapes.
void rotate_whole_heads(Json& config, std::string_view where) {
  const auto factor = config.find("partial_rotary_factor");
  if (factor == config.end()) return;
  const auto scaling = config.find("rope_scaling");
  const bool scaled = scaling != config.end() && scaling->is_object() && scaling->value("rope_type", Json()) != "default";
  require(!scaled || factor->is_null() || *factor == 1, ErrorCode::unsupported,
          "{}: \"partial_rotary_factor\" is {} beside a rope_scaling, which this family has no meaning for; remove one of them",
          where, factor->dump().substr(0, 80));
  config.erase(factor);
}

/// What a configuration class of transformers (5.x: models/<family>/configuration_<family>.py) does to a config.json.
struct Family {
  std::string_view architecture;  // in lower case
  const char* defaults;           // for keys that are absent; one that is there, even null, stays
  void (*settle)(Json& config, std::string_view where);
};
constexpr Family kFamilies[] = {
    {"llamaforcausallm", R"({})", no_window},
    {"mistralforcausallm", R"({"num_key_value_heads": 8, "max_position_embeddings": 131072, "sliding_window": 4096})",
     window_everywhere},
    {"mixtralforcausallm",
     R"({"num_key_value_heads": 8, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "rope_theta": 1e6,
         "sliding_window": null, "num_local_experts": 8, "num_experts_per_tok": 2})",
     window_everywhere},
    {"qwen2forcausallm",
     R"({"num_key_value_heads": 32, "max_position_embeddings": 32768, "sliding_window": 4096, "use_sliding_window": false,
         "max_window_layers": 28})",
     window_above},
    {"qwen3forcausallm",
     R"({"num_key_value_heads": 32, "max_position_embeddings": 32768, "sliding_window": 4096, "use_sliding_window": false,
         "max_window_layers": 28, "head_dim": 128})",
     window_above},
    {"qwen3moeforcausallm",
     R"({"num_key_value_heads": 4, "max_position_embeddings": 32768, "sliding_window": 4096, "use_sliding_window": false,
         "moe_intermediate_size": 768, "num_experts_per_tok": 8, "norm_topk_prob": false, "decoder_sparse_step": 1,
         "mlp_only_layers": []})",
     settle_qwen3_moe},
};

void settle_family(Json& config, std::string_view where) {
  const auto list = config.find("architectures");
  if (list == config.end() || !list->is_array() || list->empty() || !list->front().is_string()) return;
  const std::string name = lower_case(list->front().get<std::string>());
  const auto family =
      std::find_if(std::begin(kFamilies), std::end(kFamilies), [&](const Family& f) { return f.architecture == name; });
  if (family == std::end(kFamilies)) return;
  const Json defaults = Json::parse(family->defaults);
  for (const auto& [key, value] : defaults.items())
    if (!config.contains(key)) config[key] = value;
  check_layer_types(config, where);
  family->settle(config, where);
  rotate_whole_heads(config, where);
}

}  // namespace

Json mlp_layer_types(const std::vector<bool>& dense) {
  Json out = Json::array();
  for (const bool d : dense) out.push_back(d ? "dense" : "sparse");
  return out;
}

void normalize_config(Json& config, std::string_view where) {
  normalize_rope(config);
  if (const auto text = config.find("text_config"); text != config.end() && text->is_object()) normalize_rope(*text);
  settle_family(config, where);
}

std::vector<float> rope_factors(const Json& config) {
  const auto scaling = config.find("rope_scaling");
  if (scaling == config.end() || !scaling->is_object() || !scaling->contains("rope_type") || (*scaling)["rope_type"] != "llama3")
    return {};
  const double theta = config.contains("rope_theta") ? positive(config, "rope_theta") : 10000.0;
  const bool own_width = config.contains("head_dim") && !config["head_dim"].is_null();
  const double width = own_width ? positive(config, "head_dim")
                                 : std::floor(positive(config, "hidden_size") / positive(config, "num_attention_heads"));
  require(width >= 2 && width <= 65536, ErrorCode::corrupt, "config: a head width of {} is out of range", width);
  const double factor = positive(*scaling, "factor"), low = positive(*scaling, "low_freq_factor");
  const double high = positive(*scaling, "high_freq_factor"), context = positive(*scaling, "original_max_position_embeddings");
  require(high > low, ErrorCode::corrupt, "config: rope_scaling's high_freq_factor {} must be above its low_freq_factor {}", high,
          low);
  std::vector<float> factors;
  for (int i = 0; i < int(width) / 2; ++i) {
    const double wavelength = 2 * std::numbers::pi * std::pow(theta, 2.0 * i / width);
    const double smooth = (context / wavelength - low) / (high - low);
    if (wavelength < context / high)
      factors.push_back(1);
    else if (wavelength > context / low)
      factors.push_back(float(factor));
    else
      factors.push_back(float(1 / ((1 - smooth) / factor + smooth)));
  }
  return factors;
}

}  // namespace gale
