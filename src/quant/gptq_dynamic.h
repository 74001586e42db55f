#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/json_fwd.h"

namespace gale {

/// What the config of a GPTQ checkpoint says of one module.
struct GptqSettings {
  bool quantized = true;
  std::optional<int64_t> bits, group_size;  ///< nullopt where it does not say
  bool desc_act = false;
  std::string rule;  ///< of "dynamic" that says so, "" for none
};

/// GPTQModel's "dynamic" (gptqmodel/quantization/config.py, dynamic_get): patterns, each with what is other for the modules whose
/// name it matches from its beginning on; the first that matches decides. "-:PATTERN" leaves modules as they were, "+:PATTERN"
/// and "PATTERN" are the same. `module`: as the file names it. Throws Error{corrupt} for what is no such rule, Error{unsupported}
/// for a pattern that cannot be read.
GptqSettings gptq_settings(const Json* config, const std::string& module);

/// True where the config has rules, so that its "bits" and "group_size" need not be those of a module.
bool has_gptq_rules(const Json* config);

}  // namespace gale
