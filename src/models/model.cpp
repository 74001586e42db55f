#include "models/model.h"

#include <algorithm>
#include <cctype>

#include "base/fail.h"

namespace gale {
namespace {

bool same_name(std::string_view a, std::string_view b) {
  const auto low = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return low(x) == low(y); });
}

}  // namespace

const Arch& find_architecture(std::string_view name) {
  std::string known;
  for (const Arch* arch : architectures())
    for (std::string_view candidate : arch->names) {
      if (same_name(candidate, name)) return *arch;
      known += (known.empty() ? "" : ", ") + std::string(candidate);
    }
  fail(ErrorCode::unsupported, "architecture \"{}\" is not known; Gale runs {}", name, known);
}

}  // namespace gale
