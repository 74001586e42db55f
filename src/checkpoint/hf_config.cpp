#include "checkpoint/hf_config.h"

#include <cmath>
#include <numbers>

#include "base/fail.h"
#include "base/json.h"

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

}  // namespace

void normalize_config(Json& config) {
  normalize_rope(config);
  if (const auto text = config.find("text_config"); text != config.end() && text->is_object()) normalize_rope(*text);
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
