#include "quant/format.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>

#include "base/fail.h"
#include "base/json.h"
#include "quant/arranged.h"
#include "quant/check_method.h"
#include "quant/hf_parts.h"

namespace gale {
namespace {

bool same_but_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, {}, [](unsigned char c) { return std::tolower(c); }, [](unsigned char c) { return std::tolower(c); });
}

std::string known_formats() {
  std::string out;
  for (const Format* format : formats()) fmt::format_to(std::back_inserter(out), "{}{}", out.empty() ? "" : ", ", format->name);
  return out;
}

// Methods of quantization_config that are read, "" for a config that names none. What other methods make of tensors of these
// names nobody knows.
constexpr std::string_view kRead[] = {
    "",    "gptq", "gptq_marlin",  "marlin", "awq",      "compressed-tensors", "compressed_tensors",
    "fp8", "hqq",  "bitsandbytes", "mxfp4",  "modelopt", "fbgemm_fp8",         "modelopt_fp4",
    "afq"};

// Methods of quantization_config that nothing here reads, and what comes nearest to them.
constexpr std::pair<std::string_view, std::string_view> kUnread[] = {
    {"exl2", "gptq of the same bits"},
    {"exl3", "gptq of the same bits"},
    {"aqlm", "hqq of 2 bits"},
    {"vptq", "hqq of 2 bits"},
    {"spqr", "gptq of 3 bits"},
    {"higgs", "hqq of 4 bits"},
    {"quip", "hqq of 2 bits"},
    {"quark", "fp8 or mxfp4 as compressed-tensors writes them"},
    {"torchao", "compressed-tensors of int4, int8 or fp8"},
    {"quanto", "compressed-tensors of int4 or int8"},
    {"eetq", "compressed-tensors of int8"},
    {"fp_quant", "nvfp4 or mxfp4 as compressed-tensors writes them"},
    {"auto-round", "the same model exported as gptq or awq"},
    {"intel/auto-round", "the same model exported as gptq or awq"},
    {"bitnet", "gptq of 2 bits, or the model without quantization"},
};

bool reads(std::string_view method) {
  return std::ranges::any_of(kRead, [&](std::string_view name) { return same_but_case(name, method); });
}

const Format* claiming(const TensorGroup& group) {
  for (const Format* format : formats())
    if (format->claims(group)) return format;
  return nullptr;
}

// compressed-tensors' rotations of what goes into layers and comes out of them, as the model runs: without them the weights are
// of another model. Saved empty where there are none.
void check_transforms(const TensorGroup& group) {
  const Json* config = group.quantization_config;
  if (config == nullptr || !config->is_object()) return;
  const auto found = config->find("transform_config");
  if (found == config->end() || found->empty()) return;
  if (found->is_object() && found->contains("config_groups") && (*found)["config_groups"].empty()) return;
  fail(ErrorCode::unsupported,
       "{}: the \"transform_config\" of its checkpoint rotates what goes into layers (QuIP, SpinQuant), which is not read; "
       "nearest to "
       "it is the same model as compressed-tensors without transforms",
       group.name);
}

std::string advice(const TensorGroup& group) {
  const std::string method = hf::quant_method(group);
  if (method.empty()) return "";
  for (const auto& [name, nearest] : kUnread)
    if (same_but_case(name, method))
      return fmt::format("; quant_method \"{}\" is not read, and nearest to it is {}", method, nearest);
  if (reads(method)) return fmt::format("; its quant_method is \"{}\"", method);
  const Format* alike = claiming(group);
  return fmt::format("; quant_method \"{}\" is not read, and nearest to it is {}", method,
                     alike != nullptr && group.parts.size() > 1 ? alike->name : "the same model as compressed-tensors or GGUF");
}

[[noreturn]] void refuse(const TensorGroup& group) {
  constexpr size_t kShown = 10;
  std::string tensors;
  size_t shown = 0;
  for (const auto& [suffix, tensor] : group.parts) {
    if (++shown > kShown) break;
    fmt::format_to(std::back_inserter(tensors), "{}{} {} {}", tensors.empty() ? "" : ", ", suffix,
                   tensor_type_info(tensor->type).name, tensor->shape.text());
  }
  if (group.parts.size() > kShown) tensors += fmt::format(" and {} more", group.parts.size() - kShown);
  fail(ErrorCode::unsupported, "{}: {} its tensors ({}){}; known formats: {}", group.name,
       reads(hf::quant_method(group)) ? "no weight format reads" : "nobody knows what is meant by",
       tensors.empty() ? "none" : tensors, advice(group), known_formats());
}

}  // namespace

const RawTensor* TensorGroup::part(std::string_view suffix) const {
  const auto found = parts.find(suffix);
  return found == parts.end() ? nullptr : found->second;
}

std::string_view file_of(const RawTensor& tensor) {
  return tensor.source.empty() ? std::string_view("the file") : std::string_view(tensor.source);
}

TensorGroup group_of(const Checkpoint& checkpoint, std::string_view name) {
  TensorGroup group;
  group.name = name;
  const Json& all = checkpoint.config();
  auto config = all.find("quantization_config");
  if (config == all.end()) config = all.find("quantization");  // MLX
  if (config != all.end()) group.quantization_config = &*config;
  for (const RawTensor* tensor : checkpoint.below(name))
    if (std::string part = tensor->name.substr(name.size() + 1); part != "bias") group.parts[std::move(part)] = tensor;
  return group;
}

TensorGroup group_around(const Checkpoint& checkpoint, const RawTensor& tensor) {
  const std::string_view name = tensor.name;
  // Parts have plain names, or hang on "weight" as bitsandbytes' or on "meta_..." as HQQ's do; what has others is a layer.
  const auto one_weight = [](const TensorGroup& group) {
    return group.parts.size() > 1 && std::ranges::all_of(group.parts, [](const auto& part) {
             return part.first.find('.') == std::string::npos || part.first.starts_with("weight.") ||
                    part.first.starts_with("meta_");
           });
  };
  for (size_t dot = name.rfind('.'); dot != name.npos && dot > 0; dot = name.rfind('.', dot - 1)) {
    TensorGroup group = group_of(checkpoint, name.substr(0, dot));
    const bool has = std::ranges::any_of(group.parts, [&](const auto& part) { return part.second == &tensor; });
    if (has && one_weight(group) && std::ranges::any_of(formats(), [&](const Format* format) { return format->claims(group); }))
      return group;
  }
  TensorGroup alone;
  alone.name = name;
  alone.parts = {{"weight", &tensor}};
  return alone;
}

bool SecondScale::wanted(const Format& format, std::string_view name) {
  return format.reach > 0 && name.find("layers.") != name.npos;
}

SecondScale SecondScale::of(const Format& format, std::string_view name, float largest) {
  if (!wanted(format, name)) return {};
  const float value = largest / format.reach;
  return {.value = std::isnormal(value) ? value : 1.0f, .reach = format.reach};
}

void SecondScale::take_off(std::span<float> values) const {
  if (reach == 0) return;
  for (float& v : values) v = std::isfinite(v) ? std::clamp(v / value, -reach, reach) : v;  // the quantizer refuses what is none
}

const Format& find_format(std::string_view name) {
  for (const Format* format : formats())
    if (same_but_case(format->name, name)) return *format;
  fail(ErrorCode::invalid_argument, "unknown weight format \"{}\"; known: {}", name, known_formats());
}

const Format& format_of(const TensorGroup& group) {
  if (is_arranged(group)) return arranged_format();
  check_transforms(group);
  if (reads(hf::quant_method(group)))
    if (const Format* format = claiming(group)) return *format;
  refuse(group);
}

void check_method(const Checkpoint& checkpoint) {
  TensorGroup plain = group_of(checkpoint, "model.embed_tokens");
  if (checkpoint.packed() != nullptr || reads(hf::quant_method(plain))) return;
  for (const RawTensor& tensor : checkpoint.tensors()) {
    const size_t dot = tensor.name.rfind('.');
    if (dot == tensor.name.npos || tensor.name.ends_with(".weight") || tensor.name.ends_with(".bias")) continue;
    const TensorGroup group = group_of(checkpoint, std::string_view(tensor.name).substr(0, dot));
    if (!group.parts.empty()) refuse(group);
  }
  refuse(plain);
}

}  // namespace gale
