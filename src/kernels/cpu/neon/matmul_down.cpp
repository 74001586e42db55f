#define GALE_ISA neon
#include "kernels/cpu/neon/simd.h"
// after simd.h: it names the vocabulary
#include "kernels/cpu/common/matmul_down.h"
