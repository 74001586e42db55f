#define GALE_ISA avx2
#include "kernels/cpu/avx2/simd.h"
// after simd.h: they name the vocabulary
#include "kernels/cpu/avx2/transpose.h"
// after transpose.h
#include "kernels/cpu/common/weave.h"
