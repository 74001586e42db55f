#pragma once
#include <chrono>

namespace gale {

/// Seconds since an arbitrary point, monotonic.
inline double now_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace gale
