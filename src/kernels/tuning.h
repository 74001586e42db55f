#pragma once
#include <cstdint>

namespace gale {

class ThreadPool;
struct CpuKernels;
struct PackedMatrix;

/// What is measured once per start because machines differ. Whatever comes out, results keep their bits.
struct Tuning {
  /// Bytes between the weights in hand and those fetched meanwhile when a single row streams them. The processor's own
  /// prefetchers either keep up (then more requests are in their way) or give up at each page (then they need help).
  int64_t ahead_one = 0;
};

/// Reads up to 48 MB of `sample` with each choice, some milliseconds in all. A sample that fits caches is not measured.
Tuning tune(const CpuKernels& cpu, ThreadPool& pool, const PackedMatrix& sample);

}  // namespace gale
