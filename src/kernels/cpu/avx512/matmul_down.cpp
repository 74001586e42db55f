#define GALE_ISA avx512
#include "kernels/cpu/avx512/simd.h"
// after simd.h: it names the vocabulary
#include "kernels/cpu/common/matmul_down.h"
