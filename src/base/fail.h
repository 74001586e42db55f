#pragma once
#include <fmt/format.h>

#include <utility>

#include "gale/error.h"

namespace gale {

/// Throws Error{code, formatted message}: `fail(ErrorCode::corrupt, "{}: tensor {} ends at byte {}", path, name, end)`.
template <class... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> text, Args&&... args) {
  throw Error(code, fmt::format(text, std::forward<Args>(args)...));
}

/// The usual guard: `require(x > 0, ErrorCode::invalid_argument, "top_k is {}, but ...", x)`.
template <class... Args>
void require(bool ok, ErrorCode code, fmt::format_string<Args...> text, Args&&... args) {
  if (!ok) throw Error(code, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace gale
