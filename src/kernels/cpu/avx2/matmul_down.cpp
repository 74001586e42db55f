#define GALE_ISA avx2
#include "kernels/cpu/avx2/simd.h"
// after simd.h: it names the vocabulary
#include "kernels/cpu/common/matmul_down.h"
