#pragma once
#include <cstdint>

namespace gale {

/// How a thread's float arithmetic rounds and whether it flushes subnormals: MXCSR on x86, FPCR on Arm, nothing elsewhere. A
/// thread inherits its creator's, and hosts change theirs (audio programs, whatever was linked with -ffast-math).
struct FloatMode {
  uint64_t control = 0;

  static FloatMode current();
  static FloatMode standard();  ///< round to nearest, subnormals kept: what every result is promised under
  static FloatMode flushing();  ///< round to nearest, subnormals read and written as zero
  /// Sets it for this thread. Costs a few cycles where it is set already.
  void apply() const;
  bool operator==(const FloatMode&) const = default;
};

/// The standard mode within a scope; the host's own comes back at its end.
class StandardFloats {
 public:
  StandardFloats() : before_(FloatMode::current()) { FloatMode::standard().apply(); }
  ~StandardFloats() { before_.apply(); }
  StandardFloats(const StandardFloats&) = delete;
  StandardFloats& operator=(const StandardFloats&) = delete;

 private:
  FloatMode before_;
};

}  // namespace gale
