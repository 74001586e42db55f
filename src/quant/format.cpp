#include "quant/format.h"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "base/fail.h"

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

const Format& find_format(std::string_view name) {
  for (const Format* format : formats())
    if (same_but_case(format->name, name)) return *format;
  fail(ErrorCode::invalid_argument, "unknown weight format \"{}\"; known: {}", name, known_formats());
}

const Format& format_of(const TensorGroup& group) {
  for (const Format* format : formats())
    if (format->claims(group)) return *format;
  std::string tensors;
  for (const auto& [suffix, tensor] : group.parts)
    fmt::format_to(std::back_inserter(tensors), "{}{} {} {}", tensors.empty() ? "" : ", ", suffix,
                   tensor_type_info(tensor->type).name, tensor->shape.text());
  fail(ErrorCode::unsupported, "{}: no weight format reads its tensors ({}); known formats: {}", group.name,
       tensors.empty() ? "none" : tensors, known_formats());
}

}  // namespace gale
