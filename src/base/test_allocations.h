#pragma once
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

// Counts what a program allocates. Test code only, included by one file of a program: it brings the program's operator new, of
// which ThreadSanitizer has another.
namespace gale::testing {
inline std::atomic<int64_t> allocations{0};
}

void* operator new(size_t bytes) {
  ++gale::testing::allocations;
  if (void* out = std::malloc(bytes ? bytes : 1)) return out;
  throw std::bad_alloc();
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  ++gale::testing::allocations;
  return std::malloc(bytes);
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
