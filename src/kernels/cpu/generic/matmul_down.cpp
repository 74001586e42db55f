#define GALE_ISA generic
#include "kernels/cpu/generic/simd.h"
// after simd.h: it names the vocabulary
#include "kernels/cpu/common/matmul_down.h"
