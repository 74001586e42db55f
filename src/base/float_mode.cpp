#include "base/float_mode.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gale {

#if defined(__x86_64__)

namespace {
constexpr unsigned kSticky = 0x3f;  // the exceptions seen so far: they change all the time and change no result
constexpr unsigned kMasked = 0x1f80, kFlushResults = 0x8000, kFlushInputs = 0x0040;
}  // namespace

FloatMode FloatMode::current() { return {_mm_getcsr() & ~kSticky}; }
FloatMode FloatMode::standard() { return {kMasked}; }
FloatMode FloatMode::flushing() { return {kMasked | kFlushResults | kFlushInputs}; }
void FloatMode::apply() const {
  if (const unsigned now = _mm_getcsr(); (now & ~kSticky) != control) _mm_setcsr((now & kSticky) | unsigned(control));
}

#elif defined(__aarch64__)

FloatMode FloatMode::current() {
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  return {control};
}
FloatMode FloatMode::standard() { return {0}; }
FloatMode FloatMode::flushing() { return {uint64_t(1) << 24}; }
void FloatMode::apply() const {
  if (current() != *this) __asm__ volatile("msr fpcr, %0" : : "r"(control));
}

#else

FloatMode FloatMode::current() { return {}; }
FloatMode FloatMode::standard() { return {}; }
FloatMode FloatMode::flushing() { return {}; }
void FloatMode::apply() const {}

#endif

}  // namespace gale
