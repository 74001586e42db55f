#pragma once
#include "base/threads.h"
#include "kernels/cpu/kernels.h"

namespace gale {

/// What the threads of a pool can do together, measured: the ceilings that results are shares of.
struct Roofline {
  double read_gb_s = 0;    ///< reading memory in order, far beyond the caches
  double int8_tmac_s = 0;  ///< int8 dot products
  double bf16_tmac_s = 0;  ///< bf16 products: through f32 where the instruction set has no dot of its own
  double f32_tmac_s = 0;   ///< f32 fma
  int threads = 1;
  Isa isa = Isa::generic;
};

/// Takes about 0.3 s. Memory speed of shared machines changes within seconds: measure right before and after what it is compared
/// with.
Roofline measure_roofline(const CpuKernels& cpu, ThreadPool& pool);

}  // namespace gale
