#pragma once
#include <cstdint>

#include "base/fail.h"

namespace gale {

/// a * b, or Error{corrupt} naming `what` where it does not fit in 63 bits. Both must be >= 0: sizes read from files are checked
/// before they come here.
inline int64_t checked_mul(int64_t a, int64_t b, std::string_view what) {
  int64_t out = 0;
  require(a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, &out), ErrorCode::corrupt, "{}: size {} x {} overflows", what, a, b);
  return out;
}

/// a + b under the same rules.
inline int64_t checked_add(int64_t a, int64_t b, std::string_view what) {
  int64_t out = 0;
  require(a >= 0 && b >= 0 && !__builtin_add_overflow(a, b, &out), ErrorCode::corrupt, "{}: size {} + {} overflows", what, a, b);
  return out;
}

/// Smallest multiple of `step` (a power of two or not, > 0) that is >= n.
constexpr int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }
/// n / step, rounded up; for n >= 0 and any step > 0.
constexpr int64_t ceil_div(int64_t n, int64_t step) { return n / step + (n % step > 0); }

}  // namespace gale
