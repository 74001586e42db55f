#include "quant/format.h"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "base/fail.h"
#include "base/json.h"

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

}  // namespace

const RawTensor* TensorGroup::part(std::string_view suffix) const {
  const auto found = parts.find(suffix);
  return found == parts.end() ? nullptr : found->second;
}

TensorGroup group_of(const Checkpoint& checkpoint, std::string_view name) {
  TensorGroup group;
  group.name = name;
  const auto config = checkpoint.config().find("quantization_config");
  if (config != checkpoint.config().end()) group.quantization_config = &*config;
  for (const RawTensor* tensor : checkpoint.below(name))
    if (std::string part = tensor->name.substr(name.size() + 1); part != "bias") group.parts[std::move(part)] = tensor;
  return group;
}

const Format& find_format(std::string_view name) {
  for (const Format* format : formats())
    if (same_but_case(format->name, name)) return *format;
  fail(ErrorCode::invalid_argument, "unknown weight format \"{}\"; known: {}", name, known_formats());
}

const Format& format_of(const TensorGroup& group) {
  for (const Format* format : formats())
    if (format->claims(group)) return *format;
  constexpr size_t kShown = 10;
  std::string tensors;
  size_t shown = 0;
  for (const auto& [suffix, tensor] : group.parts) {
    if (++shown > kShown) break;
    fmt::format_to(std::back_inserter(tensors), "{}{} {} {}", tensors.empty() ? "" : ", ", suffix,
                   tensor_type_info(tensor->type).name, tensor->shape.text());
  }
  if (group.parts.size() > kShown) tensors += fmt::format(" and {} more", group.parts.size() - kShown);
  fail(ErrorCode::unsupported, "{}: no weight format reads its tensors ({}); known formats: {}", group.name,
       tensors.empty() ? "none" : tensors, known_formats());
}

}  // namespace gale
