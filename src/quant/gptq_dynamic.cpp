#include "quant/gptq_dynamic.h"

#include "base/json.h"
#include "quant/hf_parts.h"
#include "tokenizer/regex.h"

namespace gale {
namespace {

constexpr const char* kKey = "dynamic";

bool matches(std::string_view pattern, const std::string& name) {
  const Regex regex(pattern, fmt::format("{}: \"{}\" of its quantization config", name, kKey));
  std::string buffer;
  RegexScratch scratch(name.size());
  size_t begin = 0, end = 0;
  return regex.find(regex.subject(name, buffer), 0, scratch, begin, end) && begin == 0;
}

std::optional<int64_t> whole(const Json& from, const char* key, std::optional<int64_t> otherwise) {
  const auto found = from.find(key);
  return found != from.end() && found->is_number_integer() ? found->get<int64_t>() : otherwise;
}

}  // namespace

bool has_gptq_rules(const Json* config) {
  if (config == nullptr || !config->is_object()) return false;
  const auto rules = config->find(kKey);
  return rules != config->end() && !rules->is_null() && !rules->empty();
}

GptqSettings gptq_settings(const Json* config, const std::string& module) {
  GptqSettings out;
  if (config == nullptr || !config->is_object()) return out;
  out.bits = whole(*config, "bits", {});
  out.group_size = whole(*config, "group_size", {});
  out.desc_act = hf::config_flag(config, "desc_act");
  if (!has_gptq_rules(config)) return out;
  const Json& rules = (*config)[kKey];
  require(rules.is_object(), ErrorCode::corrupt, "{}: \"{}\" of its quantization config is a {}, expected patterns with settings",
          module, kKey, rules.type_name());
  for (const auto& [rule, settings] : rules.items()) {
    const bool excludes = rule.starts_with("-:");
    const std::string pattern = excludes || rule.starts_with("+:") ? rule.substr(2) : rule;
    if (!matches(pattern, module)) continue;
    require(excludes || settings.is_object(), ErrorCode::corrupt,
            "{}: the settings of \"{}\" in \"{}\" of its quantization config are a {}, expected an object", module, rule, kKey,
            settings.type_name());
    out.rule = rule;
    out.quantized = !excludes;
    if (excludes) return out;
    out.bits = whole(settings, "bits", out.bits);
    out.group_size = whole(settings, "group_size", out.group_size);
    if (settings.contains("desc_act")) out.desc_act = hf::config_flag(&settings, "desc_act");
    return out;
  }
  return out;
}

}  // namespace gale
